"""A hub's default route table: a VRF that fails closed, the hub's own addresses, branch-to-branch."""

from ipaddress import IPv4Interface, IPv4Network, IPv6Network

from hubgw.compile.draft import Draft
from hubgw.compile.mtu import IPV4_TCP_HEADERS, tunnel_mtu
from hubgw.compile.scope import HostedHub, Scope
from hubgw.plan.kernel import Address, Element, Route, Rule, Unreachable, Vrf
from hubgw.plan.numbers import UNREACHABLE_METRIC

SOURCE_PRIORITY = 905


def compile_hubs(draft: Draft, scope: Scope) -> None:
    """Writes each hosted hub's VRF."""
    for hosted in scope.hubs:
        _compile_hub(draft, hosted)


def _compile_hub(draft: Draft, hosted: HostedHub) -> None:
    hub = hosted.hub
    draft.add(Vrf(hosted.vrf, hosted.table, f"virtualHubs/{hub.name}/defaultRouteTable"), hub.id)
    draft.add(Rule(SOURCE_PRIORITY, fwmark=hosted.mark, table=hosted.table), hub.id)
    for everything in (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")):
        draft.add(Route(hosted.table, everything, Unreachable(), UNREACHABLE_METRIC), hub.id)
    instances = (*hosted.instances, *(hosted.users.instances if hosted.users else ()))
    for number in sorted({instance.instance for instance in instances}):
        address = hosted.address(number)
        draft.add(Address(hosted.vrf, IPv4Interface(f"{address}/32")), hub.id)
        draft.add(Element("hub_addresses", (hosted.vrf, str(address))), hub.id)
    if instances:
        smallest = min(tunnel_mtu(instance.underlay_mtu) for instance in instances)
        draft.add(Element("mss", (hosted.vrf,), str(smallest - IPV4_TCP_HEADERS)), hub.id)
    if not hosted.wan.properties.allow_branch_to_branch_traffic:
        draft.add(Element("no_branch_to_branch", (hosted.vrf,)), hosted.wan.id)
