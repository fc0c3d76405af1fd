"""What every resource is made of: checked JSON to frozen typed objects and back. Reads no file, knows no type."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from hubgw.names import INTERFACE, Secret, is_ours
from hubgw.resources.ids import (
    AZURE,
    CONNECTION_TYPE,
    DEFAULT_SCOPE,
    LINK_TYPE,
    NAT_RULE_TYPE,
    POLICY_GROUP_TYPE,
    ResourceId,
    canonical_type,
    provider_of,
    singular,
)
from hubgw.resources.problem import SECRETS

KEY_LENGTHS: Final = range(16, 129)
TEXT_LENGTH: Final = 256

T = TypeVar("T")

_NO_INTERFACE: Final = frozenset({"lo", "all", "default"})
"""The loopback, and what the kernel calls every interface's settings and those of new ones."""

_ADDRESS_LIKE: Final = re.compile(r"[0-9.]+", re.ASCII)

NOT_ROUTED: Final = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("224.0.0.0/3"): "multicast and reserved",
}
"""What no router forwards or answers for as unicast (RFC 6890, RFC 5771)."""

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")


def fault(message: str, hint: str = "") -> PydanticCustomError:
    """The error that a validator raises: what is wrong, and what to do; the value is added by who shows it."""
    return PydanticCustomError("hubgw", "{message}", {"message": message, "hint": hint})


class Model(BaseModel):
    """Base of all properties: Azure's camelCase names outside, snake_case inside; nothing is coerced or extra."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to another resource, by its full id."""

    id: str

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]


def text_of(value: object, what: str) -> str:
    """Returns a value that is text; `what` is expected. Raises `fault`."""
    if not isinstance(value, str):
        raise fault(f"expected {what}", "put it in quotes" if isinstance(value, int | float) else "")
    return value


def _printable(text: str) -> str:
    if not text.isprintable() or len(text) > TEXT_LENGTH:
        raise fault(f"expected at most {TEXT_LENGTH} printable characters")
    return text


def _at_least_one(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise fault("expected at least one")
    return items


def _ref_to(*types: str) -> Callable[[object, ValidationInfo], Ref]:
    wanted = " or ".join(singular(type_) for type_ in types)

    def validate(value: object, info: ValidationInfo) -> Ref:
        if isinstance(value, Ref):
            return value
        if isinstance(value, dict):
            if set(value) != {"id"}:
                raise fault("expected a reference", "write {id: ...}, or the name alone")
            value = value["id"]
        text = text_of(value, f"the name or id of a {wanted}")
        scope = info.context if isinstance(info.context, ResourceId) else DEFAULT_SCOPE
        try:
            target = ResourceId.parse(text) if text.startswith("/") else _relative(text, types, scope)
        except ValueError as error:
            raise fault(str(error)) from None
        if target.type not in types:
            raise fault(f"is a {singular(target.type)}, and a {wanted} is expected")
        return Ref(str(target))

    return validate


def _relative(text: str, types: tuple[str, ...], scope: ResourceId) -> ResourceId:
    if len(types) == 1 or "/" not in text:
        return scope.beside(types[0], text)
    parts = text.removeprefix(f"{AZURE}/").split("/")
    head = f"/subscriptions/{scope.subscription}/resourceGroups/{scope.group}/providers"
    if canonical_type(parts[0]) is None:
        raise ValueError("expected a name, a path that starts with the type (vpnSites/S/vpnSiteLinks/L), or a full id")
    return ResourceId.parse(f"{head}/{AZURE}/{'/'.join(parts)}")


def _dump_ref(ref: Ref) -> dict[str, str]:
    return {"id": ref.id}


def _prefix(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    text = text_of(value, "a prefix like 10.1.0.0/24")
    try:
        prefix = ip_network(text, strict=False)
        exact = ip_interface(text).ip == prefix.network_address
    except ValueError:
        raise fault("expected a prefix like 10.1.0.0/24") from None
    if prefix.version == 6:
        raise fault("IPv6 prefixes are not implemented yet")
    if not exact:
        raise fault("the prefix has host bits set", f"write {prefix}, or the length that fits the address")
    if "/" not in text:
        raise fault("expected a prefix with its length", f"write {prefix}")
    for special, what in NOT_ROUTED.items():
        if prefix.subnet_of(special):
            raise fault(f"the prefix is inside {special} ({what}), which is not routed", "leave it out")
    return prefix


def _not_default(prefix: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if prefix.prefixlen == 0:
        raise fault("only the address space of a vpnSite may hold the default route")
    return prefix


def _address(value: object) -> IPv4Address | IPv6Address:
    return value if isinstance(value, IPv4Address | IPv6Address) else host(value, NOT_ROUTED)


def host(value: object, refused: Mapping[IPv4Network, str]) -> IPv4Address:
    """Returns the address of one host, in none of the networks that are `refused` for what they are. Raises `fault`."""
    text = text_of(value, "an IP address like 192.0.2.1")
    try:
        address = ip_address(text)
    except ValueError:
        raise fault("expected an IP address like 192.0.2.1") from None
    if address.version == 6:
        raise fault("IPv6 addresses are not implemented yet")
    _check_host(address, refused)
    return address


def _check_host(address: IPv4Address, refused: Mapping[IPv4Network, str]) -> None:
    for special, what in refused.items():
        if address in special:
            raise fault("expected the address of one host", f"{special} is {what}")


def _interface_address(value: object) -> IPv4Interface | IPv6Interface:
    if isinstance(value, IPv4Interface | IPv6Interface):
        return value
    text = text_of(value, "an address with its prefix length like 10.50.0.1/24")
    try:
        address = ip_interface(text)
    except ValueError:
        raise fault("expected an address with its prefix length like 10.50.0.1/24") from None
    if address.version == 6:
        raise fault("IPv6 addresses are not implemented yet")
    if "/" not in text or not 1 <= address.network.prefixlen <= 30:
        raise fault("expected a prefix length from 1 to 30 after the address")
    if address.ip in {address.network.network_address, address.network.broadcast_address}:
        raise fault("expected the address of one host, not of the network or of all hosts")
    _check_host(address.ip, NOT_ROUTED)
    return address


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    text = text_of(value, "a key as text")
    if not _PRINTABLE.fullmatch(text):
        raise fault("a key has printable ASCII characters only")
    if len(text) < KEY_LENGTHS.start:
        raise fault(f"a key has at least {KEY_LENGTHS.start} characters", "leave it out to have one made")
    if len(text) not in KEY_LENGTHS:
        raise fault(f"a key has at most {KEY_LENGTHS.stop - 1} characters")
    return Secret(text)


def _interface_name(value: object) -> str:
    text = text_of(value, "the name of an interface")
    if not INTERFACE.fullmatch(text):
        raise fault("an interface's name has 1 to 15 letters, digits and . _ -, and starts with a letter or digit")
    # nft and ip take a name where they take an address or an index, and guess.
    if _ADDRESS_LIKE.fullmatch(text):
        raise fault("is an address or a number, and no name", "name an interface of the machine")
    if is_ours(text):
        raise fault("interfaces of this name belong to hubgw", "name an interface of the machine")
    if text in _NO_INTERFACE:
        raise fault("is no interface of a link", "name an interface of the machine")
    return text


_AS_ID: Final = PlainSerializer(_dump_ref)
WanRef = Annotated[Ref, PlainValidator(_ref_to("virtualWans")), _AS_ID]
HubRef = Annotated[Ref, PlainValidator(_ref_to("virtualHubs")), _AS_ID]
GatewayRef = Annotated[Ref, PlainValidator(_ref_to("vpnGateways")), _AS_ID]
UserGatewayRef = Annotated[Ref, PlainValidator(_ref_to("p2sVpnGateways")), _AS_ID]
ServerRef = Annotated[Ref, PlainValidator(_ref_to("vpnServerConfigurations")), _AS_ID]
VnetRef = Annotated[Ref, PlainValidator(_ref_to("virtualNetworks")), _AS_ID]
SiteRef = Annotated[Ref, PlainValidator(_ref_to("vpnSites")), _AS_ID]
LinkRef = Annotated[Ref, PlainValidator(_ref_to(LINK_TYPE)), _AS_ID]
NatRuleRef = Annotated[Ref, PlainValidator(_ref_to(NAT_RULE_TYPE)), _AS_ID]
PolicyGroupRef = Annotated[Ref, PlainValidator(_ref_to(POLICY_GROUP_TYPE)), _AS_ID]
_EXTENDED: Final = ("vpnSites", LINK_TYPE, CONNECTION_TYPE, "vpnGateways", "p2sVpnGateways", "vpnServerConfigurations")
ExtendedRef = Annotated[Ref, PlainValidator(_ref_to(*_EXTENDED)), _AS_ID]
Text = Annotated[str, AfterValidator(_printable)]
SitePrefix = Annotated[IPv4Network | IPv6Network, PlainValidator(_prefix), PlainSerializer(str)]
Prefix = Annotated[SitePrefix, AfterValidator(_not_default)]
Address = Annotated[IPv4Address | IPv6Address, PlainValidator(_address), PlainSerializer(str)]
InterfaceAddress = Annotated[IPv4Interface | IPv6Interface, PlainValidator(_interface_address), PlainSerializer(str)]
InterfaceName = Annotated[str, PlainValidator(_interface_name)]
SharedKey = Annotated[Secret, PlainValidator(_secret), PlainSerializer(Secret.reveal)]
NotEmpty: Final = AfterValidator(_at_least_one)
Lenient: Final = Field(strict=False)
"""For tuples alone, so that a JSON list is taken for one; what is in it stays strict."""


class AddressSpace(Model):
    """Azure's list of prefixes."""

    address_prefixes: Annotated[tuple[SitePrefix, ...], Lenient] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """A declared resource. `id` keeps the operator's case, `key` is what it is known by; `location` may be empty."""

    TYPE: ClassVar[str]
    PROPERTIES: ClassVar[type[Model]]

    id: str
    properties: Model
    location: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.id.lower())

    @property
    def type(self) -> str:
        """The canonical type: ``virtualWans``, ``vpnGateways/vpnConnections``."""
        return self.TYPE

    @property
    def name(self) -> str:
        """The last segment of the name."""
        return self.id.rpartition("/")[2]

    @property
    def label(self) -> str:
        """The name as the operator writes it: ``gw1/conn1`` for a child."""
        return "/".join(self.id.split("/")[-2 * len(self.TYPE.split("/")) :][1::2])

    @property
    def parent_key(self) -> str:
        """The key of the parent, empty where the type has none."""
        return self.key.rsplit("/", 2)[0] if "/" in self.TYPE else ""

    @property
    def region(self) -> str:
        """The location as Azure compares it: ``West Europe`` and ``westeurope`` are one."""
        return self.location.replace(" ", "").lower()

    def to_json(self, secrets: bool) -> dict[str, Any]:
        """Returns Azure's shape, defaults included; keys only with `secrets`."""
        head: dict[str, Any] = {"id": self.id, "name": self.name, "type": f"{provider_of(self.TYPE)}/{self.TYPE}"}
        if self.location:
            head["location"] = self.location
        if self.tags:
            head["tags"] = dict(self.tags)
        properties = self.properties.model_dump(by_alias=True, exclude_none=True)
        return head | {"properties": _as_json(properties, secrets)}


def _as_json(value: Any, secrets: bool) -> Any:
    if isinstance(value, dict):
        return {name: _as_json(inner, secrets) for name, inner in value.items() if secrets or name not in SECRETS}
    if isinstance(value, list | tuple):
        return [_as_json(inner, secrets) for inner in value]
    return value
