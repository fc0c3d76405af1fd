"""The list of passes: everything that a machine's plan is made of, in the order in which it is written."""

from types import MappingProxyType

from hubgw.compile.bgp import compile_bgp
from hubgw.compile.credentials import Barred, Own, UsersAuthority
from hubgw.compile.draft import Allocations, Draft, Numbers
from hubgw.compile.hubs import compile_hubs
from hubgw.compile.machine import compile_machine
from hubgw.compile.scope import scope_of
from hubgw.compile.sites import compile_sites
from hubgw.compile.users import compile_users
from hubgw.compile.vnets import compile_vnets
from hubgw.compile.where import Addresses, Where
from hubgw.plan.types import Plan
from hubgw.resources.inventory import Inventory
from hubgw.resources.node import Node


def compile_plan(
    inventory: Inventory,
    node: Node | None,
    allocations: Allocations,
    ruleset: str,
    secret_key: bytes,
    *,
    addresses: Addresses = MappingProxyType({}),
    own: Own = MappingProxyType({}),
    users: UsersAuthority | None = None,
    barred: Barred = MappingProxyType({}),
) -> Plan:
    """Compiles what one machine shall hold.

    Args:
        inventory: all resources, validated together.
        node: the machine; None, or one that hosts nothing, gives an empty plan.
        allocations: the store's numbers, one for each of `hubgw.compile.allocate.owners`.
        ruleset: digest of the nftables text that the machine's software carries.
        secret_key: the store's own key, from which the digests of secrets are derived.
        addresses: what the names of links were resolved to.
        own: what hubgw's own authorities have issued to gateways.
        users: hubgw's own authority of users, where there is one.
        barred: what is known of the users' certificates that resources revoke, of other authorities.
    """
    draft = Draft()
    scope = scope_of(inventory, node, Numbers(allocations))
    if scope.hubs:
        compile_machine(draft, scope, ruleset)
        compile_hubs(draft, scope)
        compile_vnets(draft, scope)
        compile_sites(draft, scope, secret_key, Where(scope, addresses), own)
        compile_users(draft, scope, secret_key, own=own, authority=users, barred=barred)
        compile_bgp(draft, scope, secret_key)
    return Plan(
        tuple(draft.objects.values()),
        tuple(draft.tunnels),
        draft.owners,
        tuple(draft.peers),
        tuple(draft.route_tables),
        tuple(draft.users),
    )
