"""The machine itself: kernel settings, the constant ruleset and routing rules, underlay interfaces, who speaks IKE."""

from hubgw.compile.draft import Draft
from hubgw.compile.scope import Scope
from hubgw.plan.kernel import Element, Rule, Ruleset, Sysctl
from hubgw.plan.numbers import NO_DEFAULT_MARK

SYSCTLS = {
    # Flows spread over the tunnels by ports and protocol; by addresses alone two hosts would use one tunnel.
    "net/ipv4/fib_multipath_hash_policy": "1",
    # Routes name their nexthop object: a failover is one message, however many routes (with 1 it grows with them).
    "net/ipv4/nexthop_compat_mode": "0",
    # The kernel uses the larger of this and the interface's; nftables checks sources per tunnel instead.
    "net/ipv4/conf/all/rp_filter": "0",
}


RULES = (
    # What is marked is routed by its VRF without the default route of branches and of last resort ...
    Rule(900, fwmark=NO_DEFAULT_MARK, l3mdev=True, suppress_prefixlength=0),
    # ... and never by the kernel's own rule of VRFs.
    Rule(901, fwmark=NO_DEFAULT_MARK),
)


def compile_machine(draft: Draft, scope: Scope, ruleset: str) -> None:
    """Writes what every machine with a hub has."""
    hubs = tuple(hosted.hub.id for hosted in scope.hubs)
    for path, value in SYSCTLS.items():
        draft.add(Sysctl(path, value), *hubs)
    draft.add(Ruleset(ruleset), *hubs)
    for rule in RULES:
        draft.add(rule, *hubs)
    for hosted in scope.hubs:
        for instance in hosted.instances:
            draft.add(Element("underlay", (instance.interface,)), instance.vpn_gateway.id)
            draft.add(Element("ike_open", (instance.local_address,)), hosted.hub.id)
        for users in hosted.users.instances if hosted.users else ():
            draft.add(Element("underlay", (users.interface,)), users.user_gateway.id)
            draft.add(Element("ike_open", (users.local_address,)), hosted.hub.id)
