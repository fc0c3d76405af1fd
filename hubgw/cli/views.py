"""The agent's status -> the rows of each table of `hubgw show`."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hubgw.agent.references import is_named, name_of, parent_of, references_of, words
from hubgw.cli.kinds import TYPES
from hubgw.cli.output import age, few, moment, size

Thing = dict[str, Any]

_REFERENCES: Final = ("virtualWan", "virtualHub", "remoteVpnSite", "remoteVirtualNetwork")


class Status:
    """The agent's answer, with what the tables look up: a table of 1,000 sites reads each resource once."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.time: float = answer["time"]
        self.tunnels: list[Thing] = answer["tunnels"]
        self.routes: list[Thing] = answer["routes"]
        self.certificates: list[Thing] = answer["certificates"]
        self.sessions: list[Thing] = answer["sessions"]
        self.users: list[Thing] = answer["users"]
        self.pools: list[Thing] = answer["pools"]
        self.of_type: dict[str, list[Thing]] = defaultdict(list)
        self.children: dict[str, list[Thing]] = defaultdict(list)
        self.tunnels_of: dict[str, list[Thing]] = defaultdict(list)
        self._referring: dict[tuple[str, str], list[Thing]] = defaultdict(list)
        for one in answer["resources"]:
            self.of_type[_type(one)].append(one)
            self.children[parent_of(one["id"]).lower()].append(one)
            for name in _REFERENCES:
                if target := _reference(one, name):
                    self._referring[name, target.lower()].append(one)
        for tunnel in self.tunnels:
            self.tunnels_of[tunnel["connection"].lower()].append(tunnel)

    def referring(self, name: str, one: Thing) -> list[Thing]:
        """The resources whose property `name` refers to this one."""
        return self._referring[name, one["id"].lower()]


@dataclass(frozen=True, slots=True)
class View:
    """A table: what is on top of its columns, and how one thing fills them."""

    heads: Sequence[str]
    row: Callable[[Status, Thing], list[str]]


def select(status: Status, kind: str, name: str | None) -> list[Thing]:
    """Returns the things of a kind, of those the ones that `name` names or owns; sorted as they come."""
    if kind == "tunnel":
        return [one for one in status.tunnels if not name or _owned(name, one, ("connection", "site"))]
    if kind == "route":
        return [one for one in status.routes if not name or _owned(name, one, ("hub", "origin"))]
    if kind == "certificate":
        return [one for one in status.certificates if not name or _owned(name, one, ("id",))]
    if kind == "sessions":
        return [one for one in status.sessions if not name or _is_session(name, one)]
    if kind == "users":
        return [one for one in status.users if not name or name.lower() == one["user"].lower()]
    if kind == "pools":
        return [one for one in status.pools if not name or _owned(name, one, ("gateway",))]
    kinds = ("connection", "vnet-connection") if kind == "connection" else (kind,)
    of_kind = [one for each in kinds for one in status.of_type[TYPES[each].lower()]]
    return [one for one in of_kind if not name or is_named(name, one["id"])]


def _type(one: Thing) -> str:
    return str(one["id"]).lower().rsplit("/", 2)[1]


def _owned(name: str, one: Thing, owners: Sequence[str]) -> bool:
    own = {str(one.get(part, "")).lower() for part in ("name", "prefix", "vrf", "serial")}
    return name.lower() in own or any(is_named(name, one[owner]) for owner in owners if one[owner])


def _is_session(name: str, one: Thing) -> bool:
    own = {one["user"].lower(), one["identity"].lower(), one["remoteAddress"], *one["addresses"]}
    return name.lower() in own or is_named(name, one["gateway"])


def _wan(status: Status, one: Thing) -> list[str]:
    joined = status.referring("virtualWan", one)
    hubs = [each for each in joined if _type(each) == TYPES["hub"].lower()]
    return [
        name_of(one["id"]),
        few([name_of(hub["id"]) for hub in hubs]),
        str(len(joined) - len(hubs)),
        "on" if _property(one, "allowBranchToBranchTraffic") is not False else "off",
        one["provisioningState"],
    ]


def _hub(status: Status, one: Thing) -> list[str]:
    gateways = status.referring("virtualHub", one)
    children = [each for gateway in gateways for each in status.children[gateway["id"].lower()]]
    sites = [each for each in children if _type(each) == TYPES["connection"].lower()]
    return [
        name_of(one["id"]),
        _target(one, "virtualWan"),
        str(one["body"].get("location", "")),
        str(_property(one, "addressPrefix") or ""),
        few([name_of(gateway["id"]) for gateway in gateways]),
        f"{sum(each['connectionStatus'] == 'Connected' for each in sites)}/{len(sites)}",
        str(len(status.children[one["id"].lower()])),
        one["provisioningState"],
    ]


def _site(status: Status, one: Thing) -> list[str]:
    links = [
        f"{link['name']} {link['properties'].get('ipAddress') or link['properties'].get('fqdn', '')}"
        for link in _property(one, "vpnSiteLinks") or []
    ]
    joined = status.referring("remoteVpnSite", one)
    states = sorted({str(each["connectionStatus"]) for each in joined})
    space: Mapping[str, list[str]] = _property(one, "addressSpace") or {}
    return [
        name_of(one["id"]),
        _target(one, "virtualWan"),
        few(links or [str(_property(one, "ipAddress") or "")]),
        few(space.get("addressPrefixes") or []),
        # The seed's word for a site that no connection joins to a hub.
        few(states) if joined else "Connection Needed",
        one["provisioningState"],
    ]


def _connection(status: Status, one: Thing) -> list[str]:
    tunnels = status.tunnels_of[one["id"].lower()]
    is_site = _type(one) == TYPES["connection"].lower()
    up = sum(each["state"] == "Connected" for each in tunnels)
    return [
        name_of(one["id"]),
        words(_reference(one, "remoteVpnSite" if is_site else "remoteVirtualNetwork")),
        one["connectionStatus"] or "",
        f"{up}/{len(tunnels)}" if is_site else "",
        size(sum(each["bytesIn"] for each in tunnels)) if is_site else "",
        size(sum(each["bytesOut"] for each in tunnels)) if is_site else "",
        one["provisioningState"],
    ]


def _nat_rule(status: Status, one: Thing) -> list[str]:
    named = [
        connection["id"]
        for connection in status.children[parent_of(one["id"]).lower()]
        if one["id"].lower() in references_of(connection["body"])
    ]
    return [
        name_of(one["id"]),
        str(_property(one, "mode")),
        *(
            few([each["addressSpace"] for each in _property(one, f"{side}Mappings")])
            for side in ("internal", "external")
        ),
        few([name_of(connection) for connection in named]),
        one["provisioningState"],
    ]


def _vnet(status: Status, one: Thing) -> list[str]:
    space: Mapping[str, list[str]] = _property(one, "addressSpace") or {}
    joined = status.referring("remoteVirtualNetwork", one)
    return [
        name_of(one["id"]),
        str(one["body"].get("location", "")),
        few(space.get("addressPrefixes") or []),
        few([name_of(parent_of(each["id"])) for each in joined]),
        one["provisioningState"],
    ]


def _tunnel(status: Status, one: Thing) -> list[str]:
    return [
        one["name"],
        name_of(one["connection"]),
        one["link"],
        str(one["instance"]),
        one["remoteAddress"],
        one["state"],
        age(status.time - one["since"]) if one["since"] is not None else "",
        size(one["bytesIn"]),
        size(one["bytesOut"]),
        one["lastError"],
    ]


def _route(_: Status, one: Thing) -> list[str]:
    return [
        name_of(one["hub"]),
        one["prefix"],
        one["via"],
        " ".join(one["nexthops"]),
        words(one["origin"]),
        one["asPath"],
    ]


def _certificate(_: Status, one: Thing) -> list[str]:
    return [
        one["name"],
        one["kind"],
        one["subject"],
        one["issuer"],
        one["serial"],
        "" if one["until"] is None else moment(one["until"]),
        "" if one["daysLeft"] is None else str(one["daysLeft"]),
        one["state"],
    ]


def _session(status: Status, one: Thing) -> list[str]:
    return [
        one["user"],
        one["group"],
        " ".join(one["addresses"]),
        f"{one['remoteAddress']}:{one['remotePort']}",
        one["cipher"],
        size(one["bytesIn"]),
        size(one["bytesOut"]),
        age(status.time - one["since"]),
        f"{name_of(one['gateway'])}/{one['instance']}",
    ]


def _user(status: Status, one: Thing) -> list[str]:
    def ago(moment_: float | None) -> str:
        return "" if moment_ is None else f"{age(status.time - moment_)} ago"

    return [
        one["user"],
        str(one["sessions"]),
        " ".join(one["addresses"]),
        ago(one["lastLogin"]),
        ago(one["lastRefusal"]),
        one["refusal"],
    ]


def _pool(_: Status, one: Thing) -> list[str]:
    return [
        one["name"],
        one["prefix"],
        f"{name_of(one['gateway'])}/{one['instance']}",
        str(one["size"]),
        str(one["online"]),
        str(one["offline"]),
        "Exhausted" if one["exhausted"] else "Available",
    ]


def _property(one: Thing, name: str) -> Any:
    return one["body"].get("properties", {}).get(name)


def _reference(one: Thing, name: str) -> str:
    target = _property(one, name)
    return str(target["id"]) if isinstance(target, dict) and "id" in target else ""


def _target(one: Thing, name: str) -> str:
    return name_of(_reference(one, name))


VIEWS: Final = {
    "wan": View(("NAME", "HUBS", "SITES", "BRANCH-TO-BRANCH", "STATE"), _wan),
    "hub": View(("NAME", "WAN", "REGION", "PREFIX", "GATEWAY", "CONNECTED", "VNETS", "STATE"), _hub),
    "site": View(("NAME", "WAN", "LINKS", "PREFIXES", "CONNECTION", "STATE"), _site),
    "connection": View(("NAME", "TO", "STATUS", "TUNNELS", "IN", "OUT", "STATE"), _connection),
    "nat-rule": View(("NAME", "MODE", "INTERNAL", "EXTERNAL", "CONNECTIONS", "STATE"), _nat_rule),
    "tunnel": View(("NAME", "CONNECTION", "LINK", "I", "REMOTE", "STATE", "SINCE", "IN", "OUT", "LAST ERROR"), _tunnel),
    "route": View(("HUB", "PREFIX", "VIA", "TUNNELS", "ORIGIN", "AS PATH"), _route),
    "vnet": View(("NAME", "REGION", "PREFIXES", "HUB", "STATE"), _vnet),
    "certificate": View(
        ("NAME", "KIND", "SUBJECT", "ISSUER", "SERIAL", "UNTIL", "DAYS LEFT", "STATE"),
        _certificate,
    ),
    "sessions": View(
        ("USER", "GROUP", "ADDRESS", "FROM", "CIPHER", "IN", "OUT", "SINCE", "GATEWAY/INSTANCE"),
        _session,
    ),
    "users": View(("USER", "SESSIONS", "ADDRESSES", "LAST LOGIN", "LAST REFUSAL", "REFUSED BECAUSE"), _user),
    "pools": View(("NAME", "PREFIX", "GATEWAY/INSTANCE", "SIZE", "IN USE", "KEPT", "STATE"), _pool),
}
"""The kinds of `hubgw show`, in the order that its help lists them."""
