"""vpnGateways/natRules: prefixes that a gateway translates one to one, on the links that name the rule."""

from typing import Annotated, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from hubgw.resources.base import Lenient, Model, NotEmpty, Prefix, Resource, fault

NatMode = Literal["EgressSnat", "IngressSnat"]

MOST_MAPPINGS: Final = 100
"""Of a rule, and of a connection: each is a filter both ways, and a packet is compared with one after the other."""


class NatMapping(Model):
    address_space: Prefix


Mappings = Annotated[tuple[NatMapping, ...], Lenient, NotEmpty, Field(max_length=MOST_MAPPINGS)]


class NatRuleProperties(Model):
    """The first of the internal prefixes becomes the first of the external ones, and so on.

    IngressSnat: the branch has the internal prefixes, and is seen with the external ones. EgressSnat: what is behind
    the hub has the internal ones, and the branch sees the external ones.
    """

    type: Literal["Static", "Dynamic"] = "Static"
    mode: NatMode
    internal_mappings: Mappings
    external_mappings: Mappings

    @field_validator("external_mappings")
    @classmethod
    def _pairs(cls, external: Mappings, context: ValidationInfo) -> Mappings:
        internal: Mappings | None = context.data.get("internal_mappings")
        if internal is not None and len(internal) != len(external):
            raise fault(f"expected as many as internalMappings, {len(internal)}, and there are {len(external)}")
        return external


class NatRule(Resource):
    """`parent_key` is the gateway's."""

    __slots__ = ()
    properties: NatRuleProperties
    TYPE = "vpnGateways/natRules"
    PROPERTIES = NatRuleProperties
