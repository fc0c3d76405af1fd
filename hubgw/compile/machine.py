"""The machine itself: kernel settings, the constant ruleset, underlay interfaces, the addresses that speak IKE."""

from hubgw.compile.draft import Draft
from hubgw.compile.scope import Scope
from hubgw.plan.types import Element, Ruleset, Sysctl

SYSCTLS = {
    # Flows spread over the tunnels by ports and protocol; by addresses alone two hosts would use one tunnel.
    "net/ipv4/fib_multipath_hash_policy": "1",
    # Routes name their nexthop object: a failover is one message, however many routes (with 1 it grows with them).
    "net/ipv4/nexthop_compat_mode": "0",
    # The kernel uses the larger of this and the interface's; nftables checks sources per tunnel instead.
    "net/ipv4/conf/all/rp_filter": "0",
}


def compile_machine(draft: Draft, scope: Scope, ruleset: str) -> None:
    """Writes what every machine with a hub has."""
    hubs = tuple(hosted.hub.id for hosted in scope.hubs)
    for path, value in SYSCTLS.items():
        draft.add(Sysctl(path, value), *hubs)
    draft.add(Ruleset(ruleset), *hubs)
    for hosted in scope.hubs:
        for instance in hosted.instances:
            draft.add(Element("underlay", (instance.interface,)), instance.vpn_gateway.id)
            draft.add(Element("ike_open", (str(instance.private_address or instance.public_address),)), hosted.hub.id)
