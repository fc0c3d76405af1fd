"""The checks of `hubgw preflight`: the host -> verdicts. `CHECKS` is the list, in the order that it is shown."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hubgw.cli.preflight_host import Host

_MODULES: Final = ("xfrm_interface", "vrf", "esp4", "nf_tables")
_NAT: Final = "gateways with natRules"
_FOR_SOME: Final = {
    "8021q": "virtual networks on a VLAN",
    "bridge": "virtual networks on a bridge",
    "sch_ingress": _NAT,
    "cls_matchall": _NAT,
    "act_nat": _NAT,
}
_OLDEST_KERNEL: Final = (5, 3)  # nexthop objects; xfrm interfaces in a VRF pass the policy check since 5.1
_PROVEN_KERNEL: Final = (6, 12)
_OLDEST_CHARON: Final = (5, 9, 11)  # before it VICI deadlocks when many connections are started at once
_PROVEN_CHARON: Final = (6, 0)
_FOREIGN: Final = ("ManageForeignRoutes", "ManageForeignRoutingPolicyRules", "ManageForeignNextHops")
_RELEASED: Final = 1_767_225_600  # 2026-01-01: a clock before it was never set


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, what was seen, and what to do about it."""

    verdict: Literal["ok", "warn", "fail"]
    what: str
    seen: str
    hint: str = ""


def _root(host: Host) -> Iterator[Check]:
    if not host.is_root:
        yield Check("warn", "user", "not root", "some checks see less; run it as root")


def _kernel(host: Host) -> Iterator[Check]:
    version = _numbers(host.release)[:2]
    if version < _OLDEST_KERNEL:
        yield Check("fail", "kernel", host.release, "a kernel from 5.3 on is needed, 6.12 is what hubgw is tested on")
    elif version < _PROVEN_KERNEL:
        yield Check("warn", "kernel", host.release, "hubgw is tested on 6.12")
    else:
        yield Check("ok", "kernel", host.release)


def _modules(host: Host) -> Iterator[Check]:
    for module in (*_MODULES, *_FOR_SOME):
        needed = module in _MODULES
        hint = f"only {_FOR_SOME[module]} need it" if not needed else f"modprobe {module}, or another kernel"
        where = _module(host, module)
        verdict: Literal["ok", "warn", "fail"] = "ok" if where else "fail" if needed else "warn"
        if where is None:
            yield Check("warn", f"module {module}", "not loaded, and no list of modules to look in", hint)
        else:
            yield Check(verdict, f"module {module}", where or "this kernel has none", "" if where else hint)


def _module(host: Host, name: str) -> str | None:
    if host.exists(f"sys/module/{name}"):
        return "loaded"
    wanted = re.compile(rf"(?:.*/)?{re.escape(name)}\.ko\b")
    directory = f"lib/modules/{host.release}"
    if any(wanted.match(line) for line in host.lines(f"{directory}/modules.builtin")):
        return "built in"
    if any(wanted.match(line.partition(":")[0]) for line in host.lines(f"{directory}/modules.dep")):
        return "can be loaded"
    return "" if host.exists(f"{directory}/modules.dep") else None


def _charon(host: Host) -> Iterator[Check]:
    try:
        version = host.charon_version()
    except OSError as error:
        hint = "start it (systemctl start strongswan), or name its socket with --vici"
        yield Check("fail", "charon", f"{host.vici}: {error.strerror or error}", hint)
        return
    numbers = _numbers(version)
    if numbers < _OLDEST_CHARON:
        yield Check("fail", "charon", version, "before 5.9.11 it deadlocks under load; install strongSwan 6")
    elif numbers < _PROVEN_CHARON:
        yield Check("warn", "charon", version, "hubgw is tested on strongSwan 6.0")
    else:
        yield Check("ok", "charon", version)


def _nftables(host: Host) -> Iterator[Check]:
    chains = host.nft_chains
    if isinstance(chains, str):
        yield Check("fail", "nftables", chains, "install nftables, with JSON, and run this as root")
    else:
        yield Check("ok", "nftables", f"{len(chains)} chains, read as JSON")


def _docker(host: Host) -> Iterator[Check]:
    chains = host.nft_chains
    if isinstance(chains, str):
        yield Check("warn", "forwarding", "cannot be told without nftables")
        return
    dropping = [
        chain
        for chain in chains
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain.get("table") != "hubgw"
    ]
    for chain in dropping:
        name = f"{chain.get('family')} {chain.get('table')} {chain.get('name')}"
        docker = any("DOCKER" in str(each.get("name")) for each in chains)
        own = "Docker does that: iptables -I DOCKER-USER -j ACCEPT lets the hub forward"
        hint = own if docker else "what the hub forwards is dropped there too; accept it"
        yield Check("fail", "forwarding", f"the chain {name} drops", hint)
    if not dropping:
        yield Check("ok", "forwarding", "no other chain drops it")


def _networkd(host: Host) -> Iterator[Check]:
    if not host.exists("run/systemd/netif"):
        yield Check("ok", "systemd-networkd", "does not run")
        return
    section, settings = "", dict.fromkeys(_FOREIGN, "yes")
    for path in host.dropins("networkd.conf"):
        for line in host.lines(path):
            name, _, value = (part.strip() for part in line.partition("="))
            if line.strip().startswith("["):
                section = line.strip()
            elif section == "[Network]" and name in settings:
                settings[name] = value.lower()
    kept = [name for name, value in settings.items() if value not in {"no", "false", "0", "off"}]
    if kept:
        hint = "a restart of it deletes what is hubgw's: set them to no in /etc/systemd/networkd.conf.d/hubgw.conf"
        yield Check("fail", "systemd-networkd", f"{', '.join(kept)} on", hint)
    else:
        yield Check("ok", "systemd-networkd", "leaves foreign routes, rules and nexthops alone")


def _rp_filter(host: Host) -> Iterator[Check]:
    value = host.text("proc/sys/net/ipv4/conf/all/rp_filter")
    if value == "0":
        yield Check("ok", "rp_filter", "all is 0")
    elif value is None:
        yield Check("warn", "rp_filter", "cannot be read")
    else:
        hint = "the agent sets it to 0; see that nothing in /etc/sysctl.d sets it back"
        yield Check("warn", "rp_filter", f"all is {value}", hint)


def _clock(host: Host) -> Iterator[Check]:
    if host.now < _RELEASED:
        yield Check("fail", "clock", "is before 2026", "set it, and keep it with chrony or systemd-timesyncd")
    elif not host.clock_is_synchronised():
        yield Check("warn", "clock", "is not synchronised", "keep it with chrony or systemd-timesyncd")
    else:
        yield Check("ok", "clock", "is synchronised")


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version starts with.

    >>> _numbers("6.12.117-cloud"), _numbers("U")
    ((6, 12, 117), ())
    """
    matched = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in matched[0].split(".")) if matched else ()


CHECKS: Final[tuple[Callable[[Host], Iterator[Check]], ...]] = (
    _root,
    _kernel,
    _modules,
    _charon,
    _nftables,
    _docker,
    _networkd,
    _rp_filter,
    _clock,
)
