"""Links -> the addresses where their branches are; a name has that to which it was resolved, if that leads to it alone.

A name may come to mean what no validation saw: an address of the hub, or of a branch that could not be told from this.
Who was there first stays: the owner of a branch's name takes no address from another branch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubgw.compile.allocate import tunnel_owner
from hubgw.compile.scope import HostedHub, Scope
from hubgw.resources.connection import Terms, VpnConnection
from hubgw.resources.node import GatewayInstance

Addresses = Mapping[tuple[str, str], str]
"""(name of the tunnel, fqdn) -> the IPv4 address that it was resolved to for that; which was first comes first."""


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
        named: dict[tuple[str, str], tuple[str, _Branch]] = {}
        for hosted in scope.hubs:
            for instance in hosted.instances:
                local = local_address(instance)
                self._own |= {local, str(instance.public_address)}
                for connection, terms in _terms(scope, hosted):
                    if terms.link.fqdn:
                        name, _ = scope.numbers.tunnel(tunnel_owner(connection, terms.link, instance.instance))
                        named[name, terms.link.fqdn] = local, self._branch(terms)
                    else:
                        self._branches.setdefault((local, terms.link.peer), []).append(self._branch(terms))
        self._led = {
            key: address for key, address in addresses.items() if key in named and self._leads(address, *named[key])
        }

    def of(self, tunnel: str, terms: Terms) -> str:
        """Returns the address of a tunnel's branch, "" where none is known that leads to it alone."""
        return self._led.get((tunnel, terms.link.fqdn), "") if terms.link.fqdn else terms.link.peer

    def _leads(self, address: str, local: str, branch: _Branch) -> bool:
        """Tells whether an address leads to a branch alone, and has it there from now on."""
        there = self._branches.setdefault((local, address), [])
        if address in self._own or any(map(branch.confused_with, there)):
            return False
        there.append(branch)
        return True

    def _branch(self, terms: Terms) -> _Branch:
        identity = self._scope.inventory.identity(terms.link)
        return _Branch(terms.version, terms.mode == "InitiatorOnly", identity.lower())


def local_address(instance: GatewayInstance) -> str:
    """Returns an instance's address on the machine: behind a 1:1 NAT it is not the public one."""
    return str(instance.private_address or instance.public_address)


def _terms(scope: Scope, hosted: HostedHub) -> Iterator[tuple[VpnConnection, Terms]]:
    for connection in hosted.connections:
        yield from ((connection, terms) for terms in connection.terms(scope.site_of(connection)))
