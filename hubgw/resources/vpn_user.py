"""vpnUsers: those who prove themselves to a gateway by a name and a password that hubgw keeps (EAP-MSCHAPv2)."""

import re
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Final

from pydantic import AfterValidator, PlainSerializer, PlainValidator

from hubgw.names import Secret
from hubgw.resources.base import Model, Resource, ServerRef, fault
from hubgw.resources.passwords import typed

PASSWORD_LENGTHS: Final = range(8, 257)
"""RFC 2759 has at most 256 characters of a password; fewer than 8 are guessed from one login that was listened to.

charon makes the UTF-16 of MSCHAPv2 of each octet, so they are ASCII."""

_USER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)


def user_name_problem(text: str) -> str:
    """Says what is wrong with a user's name; empty where nothing is."""
    if not _USER_NAME.fullmatch(text):
        return "a user's name has 1 to 64 letters, digits and . _ @ + -, and starts with a letter or digit"
    try:
        IPv4Address(text)
    except AddressValueError:
        return ""
    return "is an address, and no user's name"


def _user_name(text: str) -> str:
    if problem := user_name_problem(text):
        raise fault(problem)
    return text


class VpnUserProperties(Model):
    """`user_name` is what the user enters, the resource's name where it is absent; an absent `password` is the stored
    one."""

    vpn_server_configuration: ServerRef
    user_name: Annotated[str, AfterValidator(_user_name)] | None = None
    password: (
        Annotated[Secret, PlainValidator(typed("a password", PASSWORD_LENGTHS)), PlainSerializer(Secret.reveal)] | None
    ) = None


class VpnUser(Resource):
    __slots__ = ()
    properties: VpnUserProperties
    TYPE = "vpnUsers"
    PROPERTIES = VpnUserProperties

    @property
    def user_name(self) -> str:
        """What the user enters; charon compares it without regard to case."""
        return self.properties.user_name or self.name
