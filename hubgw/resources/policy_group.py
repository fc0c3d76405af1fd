"""Policy groups of a vpnServerConfiguration: who is in one, by what he proves himself with."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from hubgw.names import LABEL
from hubgw.pki.subjects import users_of
from hubgw.resources.base import Lenient, Model, fault
from hubgw.resources.certificates import subject_pattern
from hubgw.resources.site import Name

# charon leaves out a Class of 44 octets and more, and reads an identity in one.
_CLASS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,42}", re.ASCII)
_DOMAIN: Final = re.compile(rf"(?=.{{1,128}}\Z){LABEL}(?:\.{LABEL})*", re.ASCII)


def _implemented(attribute: str) -> str:
    if attribute == "AADGroupId":
        raise fault("tokens of Azure Active Directory go over OpenVPN alone, and users' tunnels are IKEv2")
    return attribute


_AttributeType = Annotated[
    Literal["AADGroupId", "CertificateGroupId", "RadiusAzureGroupId"], AfterValidator(_implemented)
]


class PolicyMember(Model):
    """Those whose certificate is to a name of a domain (`attribute_value` without the @), or whose subject matches; or
    of whom the RADIUS server says this as their Class."""

    name: Name | None = None
    attribute_type: _AttributeType
    attribute_value: str

    @field_validator("attribute_value")
    @classmethod
    def _value(cls, text: str, context: ValidationInfo) -> str:
        if context.data.get("attribute_type") == "RadiusAzureGroupId":
            if not _CLASS.fullmatch(text):
                raise fault(
                    "expected a Class of RADIUS: 1 to 43 letters, digits and . _ @ + -, and a letter or digit first"
                )
            return text
        if "=" not in text:
            if not _DOMAIN.fullmatch(text):
                hint = "the user is user@marketing.example.com; or write a subject like O=Example, OU=finance, CN=*"
                raise fault("expected the domain of users' names, like marketing.example.com", hint)
            return text
        if (pattern := subject_pattern(text)) is None:
            hint = "write its parts in their order, all of them: O=Example, OU=finance, CN=*"
            raise fault("expected a subject whose values are whole, or * for any", hint)
        return pattern

    @property
    def by_certificate(self) -> bool:
        """Whether a certificate says it; else a RADIUS server."""
        return self.attribute_type == "CertificateGroupId"

    @property
    def identity(self) -> str:
        """The identities of IKE that are in, as charon is told: ``*@marketing.example.com``."""
        return self.attribute_value if "=" in self.attribute_value else f"*@{self.attribute_value}"

    @property
    def own_subject(self) -> str:
        """The subjects that hubgw's own authority gives to users of the domain, or nothing."""
        by_domain = self.by_certificate and "=" not in self.attribute_value
        return users_of(self.attribute_value) if by_domain else ""


class PolicyGroupProperties(Model):
    """Who is in no other group is in the one that `is_default`."""

    is_default: bool = False
    priority: Annotated[int, Field(ge=0, le=2_147_483_647)] = 0
    policy_members: Annotated[tuple[PolicyMember, ...], Lenient] = ()


class PolicyGroup(Model):
    name: Name
    properties: PolicyGroupProperties
