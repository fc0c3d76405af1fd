"""Branches that speak BGP, as their operators configure them from their daemons' own manuals: what FRR and BIRD share.

A branch peers from one address with both instances of the hub, each session over its own tunnel, which are numbered
point to point; it restarts gracefully and helps others to, and installs equal paths side by side.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.lab.node import Node
from tests.lab.waiting import wait_for

HUB_ASN: Final = 65515
HUB: Final = ("10.100.0.12", "10.100.0.13")
"""The default BGP addresses of the hub's instances; a branch reaches the first over t0, the second over t1."""

HOLD_TIME: Final = 20
KEEPALIVE: Final = 5
RETRY: Final = 3
"""Seconds, of the branches' own."""


@dataclass(frozen=True, slots=True)
class Session:
    """A branch's view of its session with an instance; `drops` counts how often it ended, `error` says why it last did.

    `learned` is how many prefixes it holds from there, `updates` how many UPDATEs (FRR) or routes (BIRD) came.
    """

    established: bool
    drops: int
    learned: int
    updates: int
    error: str


class BgpBranch(ABC):
    """A BGP daemon of a branch. `address` is what it peers from, `lan` the prefix that it always has.

    `protocol` is what `ip route` calls its routes.
    """

    protocol: str

    def __init__(self, node: Node, asn: int, address: str, lan: str) -> None:
        self.node = node
        self.asn = asn
        self.address = address
        self.lan = lan

    @abstractmethod
    def start(self) -> None:
        """Starts the daemon, at first or again after `kill`, in which case it restarts gracefully."""

    @abstractmethod
    def kill(self) -> None:
        """Ends the daemon with SIGKILL; what it put into the kernel stays."""

    @abstractmethod
    def session(self, instance: int) -> Session: ...

    @abstractmethod
    def paths(self) -> dict[str, tuple[str, ...]]:
        """Returns the instances' addresses that each prefix is learned from, sorted."""

    @abstractmethod
    def announce(self, prefixes: Collection[str]) -> None:
        """Announces these prefixes beside the LAN's, and no longer what it announced before."""

    @abstractmethod
    def shut(self, instance: int, *, down: bool) -> None:
        """Shuts a session down in the configuration, or opens it again."""

    @abstractmethod
    def ask_again(self, instance: int) -> None:
        """Asks an instance for all its routes once more, by a ROUTE-REFRESH."""

    def refresh(self, instance: int) -> None:
        """Asks an instance for all its routes once more, and waits until some have come."""
        updates = self.session(instance).updates
        self.ask_again(instance)
        wait_for(
            f"{self.node.name} is told once more by {HUB[instance]}", lambda: self.session(instance).updates > updates
        )

    def installed(self) -> set[str]:
        """Returns the prefixes that the daemon has put into the kernel."""
        lines = self.node.ip(f"-4 route show proto {self.protocol}").splitlines()
        return {line.split()[0] for line in lines if not line[0].isspace()}

    def wait_established(self, *instances: int, seconds: float = 90) -> None:
        """Waits until the sessions with these instances, or with both, are established."""
        wanted = instances or (0, 1)
        wait_for(
            f"{self.node.name}: sessions with instances {wanted}",
            lambda: all(self.session(instance).established for instance in wanted),
            seconds,
        )

    def wait_learned(self, *prefixes: str, hub: tuple[str, ...] = HUB, seconds: float = 60) -> None:
        """Waits until these prefixes, and maybe others, are learned from exactly these instances."""

        def learned() -> bool:
            paths = self.paths()
            return all(paths.get(prefix) == hub for prefix in prefixes)

        wait_for(f"{self.node.name} learns {' '.join(prefixes)} from {' '.join(hub)}", learned, seconds)

    def wait_withdrawn(self, *prefixes: str, seconds: float = 60) -> None:
        """Waits until none of these prefixes is learned from any instance."""
        wait_for(
            f"{self.node.name} has {' '.join(prefixes)} withdrawn",
            lambda: self.paths().keys().isdisjoint(prefixes),
            seconds,
        )

    @contextmanager
    def undisturbed(self, *, but: str = "no other") -> Iterator[None]:
        """Not one route that it has learned goes or moves in the kernel while the block runs, nor is gone after it.

        `but` is a prefix that may.
        """
        before = self.paths()
        with self.node.monitored() as changes:
            yield
        own = (f"proto {self.protocol} ", "proto zebra ")
        moved = [line for line in changes().splitlines() if any(name in f"{line} " for name in own) and but not in line]
        assert moved == [], "\n".join([f"{self.node.name}:", *moved])
        assert self.paths() == before
