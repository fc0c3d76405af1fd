"""Resource ids: turns names and paths into full ids, whose lower-case form is a resource's key. Knows no property."""

import re
from dataclasses import dataclass
from typing import Final

from hubgw.names import NAME

DEFAULT_SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000000"
DEFAULT_RESOURCE_GROUP: Final = "hubgw"
AZURE: Final = "Microsoft.Network"
OWN: Final = "Hubgw.Network"

TYPES: Final = (
    "virtualWans",
    "virtualHubs",
    "virtualHubs/hubVirtualNetworkConnections",
    "vpnGateways",
    "vpnGateways/vpnConnections",
    "vpnGateways/natRules",
    "p2sVpnGateways",
    "vpnServerConfigurations",
    "virtualNetworks",
    "vpnSites",
    "nodes",
    "settings",
    "vpnUsers",
)
"""Types of documents, children as ``parentType/childType``."""

LINK_TYPE: Final = "vpnSites/vpnSiteLinks"
LINK_SEGMENT: Final = "/vpnsitelinks/"
"""What the key of a link has between its site's key and its name."""

CONNECTION_TYPE: Final = "vpnGateways/vpnConnections"
NAT_RULE_TYPE: Final = "vpnGateways/natRules"
POLICY_GROUP_TYPE: Final = "vpnServerConfigurations/configurationPolicyGroups"
POLICY_GROUP_SEGMENT: Final = "/configurationpolicygroups/"
LINK_CONNECTION_TYPE: Final = "vpnGateways/vpnConnections/vpnLinkConnections"
OWN_TYPES: Final = frozenset({"nodes", "settings", "vpnUsers"})

_CANONICAL: Final = {name.lower(): name for name in (*TYPES, LINK_TYPE, LINK_CONNECTION_TYPE, POLICY_GROUP_TYPE)}
_SHORT: Final = {name.rpartition("/")[2].lower(): name for name in TYPES}
_SUBSCRIPTION: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_GROUP: Final = re.compile(r"[A-Za-z0-9._()-]{0,89}[A-Za-z0-9_()-]", re.ASCII)

_HEAD: Final = ("subscriptions", "resourcegroups", "providers")
_HEAD_LENGTH: Final = 6  # /subscriptions/S/resourceGroups/G/providers/P


def provider_of(type_: str) -> str:
    """Returns the provider of a canonical type: hubgw's own for those that Azure does not have, else Azure's."""
    return OWN if type_ in OWN_TYPES else AZURE


def canonical_type(text: str) -> str | None:
    """Returns the canonical type of a document's ``type``: any case, short child names, with or without a provider.

    >>> canonical_type("Microsoft.Network/virtualwans"), canonical_type("vpnConnections"), canonical_type("vpnSite")
    ('virtualWans', 'vpnGateways/vpnConnections', None)
    """
    provider, slash, rest = text.partition("/")
    bare = rest if slash and provider.lower() in {AZURE.lower(), OWN.lower()} else text
    type_ = _SHORT.get(bare.lower()) or _CANONICAL.get(bare.lower())
    if type_ not in TYPES or (bare is rest and provider.lower() != provider_of(type_).lower()):
        return None
    return type_


def singular(type_: str) -> str:
    """Returns the word for one resource of a canonical type.

    >>> singular("vpnGateways/vpnConnections"), singular("settings")
    ('vpnConnection', 'settings')
    """
    word = type_.rpartition("/")[2]
    return word if word == "settings" else word.removesuffix("s")


def name_problem(name: str) -> str | None:
    """Says what is wrong with one segment of a name, or None."""
    return (
        None
        if NAME.fullmatch(name)
        else "a name has 1 to 80 letters, digits and . _ -, and starts with a letter or digit"
    )


@dataclass(frozen=True, slots=True)
class ResourceId:
    """A full resource id in parts; `type` is canonical, `names` has one name for each segment of it."""

    type: str
    names: tuple[str, ...]
    subscription: str = DEFAULT_SUBSCRIPTION
    group: str = DEFAULT_RESOURCE_GROUP

    def __str__(self) -> str:
        pairs = zip(self.type.split("/"), self.names, strict=True)
        tail = "/".join(f"{type_}/{name}" for type_, name in pairs)
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{provider_of(self.type)}/{tail}"
        )

    @property
    def key(self) -> str:
        return str(self).lower()

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def parent(self) -> "ResourceId | None":
        """The id of the resource that this one is a child of."""
        if len(self.names) == 1:
            return None
        return ResourceId(self.type.rpartition("/")[0], self.names[:-1], self.subscription, self.group)

    def beside(self, type_: str, name: str) -> "ResourceId":
        """Returns the id of `name` (``gw1/conn1`` for a child) in this id's subscription and resource group.

        Raises ValueError where the name does not fit the pattern or has another number of segments than the type.
        """
        names = tuple(name.split("/"))
        segments = type_.split("/")
        if len(names) != len(segments):
            shape = "/".join(f"{singular(segment)}Name" for segment in segments)
            raise ValueError(f"expected a name like {shape}")
        for part in names:
            if problem := name_problem(part):
                raise ValueError(problem)
        return ResourceId(type_, names, self.subscription, self.group)

    @staticmethod
    def parse(text: str) -> "ResourceId":
        """Parses a full id; keywords and types in any case, names kept as they are.

        Raises ValueError, with what is wrong and without the text.
        """
        head, tail = _split(text)
        if tuple(part.lower() for part in head[::2]) != _HEAD or len(tail) < 2 or len(tail) % 2:
            raise ValueError("expected an id like /subscriptions/S/resourceGroups/G/providers/P/type/name")
        subscription, group, provider = head[1::2]
        if not _SUBSCRIPTION.fullmatch(subscription):
            raise ValueError("the subscription has 1 to 64 letters, digits and -")
        if not _GROUP.fullmatch(group):
            raise ValueError("the resource group has 1 to 90 letters, digits and . _ - ( ), and no . at its end")
        type_ = _CANONICAL.get("/".join(tail[::2]).lower())
        if type_ is None or provider.lower() != provider_of(type_).lower():
            raise ValueError("the id is of a type that hubgw does not know")
        return ResourceId("virtualWans", ("x",), subscription, group).beside(type_, "/".join(tail[1::2]))


DEFAULT_SCOPE: Final = ResourceId("virtualWans", ("default",))
"""Whose subscription and resource group a file that names none is in."""


def _split(text: str) -> tuple[list[str], list[str]]:
    parts = text.removeprefix("/").split("/")
    return parts[:_HEAD_LENGTH], parts[_HEAD_LENGTH:]
