"""Links -> the addresses where their branches are; a name has that to which it was resolved, if that leads to it alone.

A name may come to mean what no validation saw: an address of the hub, or of a branch that could not be told from this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubgw.compile.scope import HostedHub, Scope
from hubgw.resources.connection import Terms
from hubgw.resources.node import GatewayInstance

Addresses = Mapping[tuple[str, str], str]
"""(name of the tunnel, fqdn) -> the IPv4 address that the fqdn was resolved to for it."""


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
        self._addresses = addresses
        self._own: set[str] = set()
        self._branches: dict[tuple[str, str], list[_Branch]] = {}
        for hosted in scope.hubs:
            for instance in hosted.instances:
                self._own |= {local_address(instance), str(instance.public_address)}
                for terms in _fixed(scope, hosted):
                    ends = local_address(instance), terms.link.peer
                    self._branches.setdefault(ends, []).append(self._branch(terms))

    def of(self, tunnel: str, terms: Terms, instance: GatewayInstance) -> str:
        """Returns the address of a tunnel's branch, "" where none is known that leads to it alone."""
        if not terms.link.fqdn:
            return terms.link.peer
        address = self._addresses.get((tunnel, terms.link.fqdn), "")
        there = self._branches.setdefault((local_address(instance), address), [])
        branch = self._branch(terms)
        if not address or address in self._own or any(map(branch.confused_with, there)):
            return ""
        there.append(branch)
        return address

    def _branch(self, terms: Terms) -> _Branch:
        identity = self._scope.inventory.identity(terms.link)
        return _Branch(terms.version, terms.mode == "InitiatorOnly", identity.lower())


def local_address(instance: GatewayInstance) -> str:
    """Returns an instance's address on the machine: behind a 1:1 NAT it is not the public one."""
    return str(instance.private_address or instance.public_address)


def _fixed(scope: Scope, hosted: HostedHub) -> Iterator[Terms]:
    for connection in hosted.connections:
        yield from (terms for terms in connection.terms(scope.site_of(connection)) if not terms.link.fqdn)
