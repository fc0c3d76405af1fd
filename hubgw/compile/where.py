"""Links -> the addresses where their branches are; a name has that to which it was resolved, if that leads to it alone.

A name may come to mean what no validation saw: an address of the hub, or of a branch that could not be told from this.
Whoever owns a name can have it lead anywhere, so an address that was written goes before a name, and of names the one
that has led there longer before the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubgw.compile.allocate import tunnel_owner
from hubgw.compile.scope import HostedHub, Scope
from hubgw.resources.connection import Terms, VpnConnection


@dataclass(frozen=True, slots=True)
class Found:
    """The IPv4 address that a name was resolved to, and since when (epoch seconds)."""

    address: str
    since: float


Addresses = Mapping[tuple[str, str], Found]
"""(name of the tunnel, fqdn) -> what the fqdn was resolved to for it."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """What a branch is told by, of those at one address."""

    version: int
    hub_starts: bool
    identity: str

    def confused_with(self, other: "_Branch") -> bool:
        """IKEv1 asks for the key before the identity is heard, and the initiator gate knows addresses alone."""
        same_version_1 = self.version == other.version == 1
        return same_version_1 or self.hub_starts != other.hub_starts or self.identity == other.identity


class Where:
    """Who is at which address, of the tunnels between it and each local address."""

    def __init__(self, scope: Scope, addresses: Addresses) -> None:
        self._scope = scope
        self._own: set[str] = set()
        self._branches: dict[tuple[str, str], list[_Branch]] = {}
        self._leads: dict[str, str] = {}
        named: list[tuple[float, str, str, str, Terms]] = []
        for hosted in scope.hubs:
            for instance in hosted.instances:
                local = instance.local_address
                self._own |= {local, str(instance.public_address)}
                for connection, terms in _terms(scope, hosted):
                    tunnel, _ = scope.numbers.tunnel(tunnel_owner(connection, terms.link, instance.instance))
                    if not terms.link.fqdn:
                        self._branches.setdefault((local, terms.link.peer), []).append(self._branch(terms))
                    elif found := addresses.get((tunnel, terms.link.fqdn)):
                        named.append((found.since, tunnel, local, found.address, terms))
        for _, tunnel, local, address, terms in sorted(named, key=lambda one: one[:2]):
            self._place(tunnel, local, address, terms)

    def of(self, tunnel: str, terms: Terms) -> str:
        """Returns the address of a tunnel's branch, "" where none is known that leads to it alone."""
        return self._leads.get(tunnel, "") if terms.link.fqdn else terms.link.peer

    def _place(self, tunnel: str, local: str, address: str, terms: Terms) -> None:
        there = self._branches.setdefault((local, address), [])
        branch = self._branch(terms)
        if address not in self._own and not any(map(branch.confused_with, there)):
            there.append(branch)
            self._leads[tunnel] = address

    def _branch(self, terms: Terms) -> _Branch:
        identity = self._scope.inventory.identity(terms.link)
        return _Branch(terms.version, terms.mode == "InitiatorOnly", identity.lower())


def _terms(scope: Scope, hosted: HostedHub) -> Iterator[tuple[VpnConnection, Terms]]:
    for connection in hosted.connections:
        yield from ((connection, terms) for terms in connection.terms(scope.site_of(connection)))
