"""A user's IKE SA -> the session that it is: whose, where, since when, and what it has carried. Pure."""

import re
from dataclasses import dataclass
from typing import Any, Final

from hubgw.agent.live import CHILD_UP
from hubgw.agent.proofs import Proof
from hubgw.agent.statuses import SessionStatus
from hubgw.drivers.strongswan.codec import IkeSa
from hubgw.plan.types import UsersOf

_LONGEST: Final = 256  # characters of a name
_COMMON_NAME: Final = re.compile(r"(?:\A|, )CN=(.+?)(?=, [A-Za-z0-9.]+=|\Z)", re.DOTALL)
REPLACED: Final = "another login took its place"
REVOKED: Final = "the certificate is revoked, or may be"
NO_SUCH_USER: Final = "there is no such user any longer"

NAME_OF_USER: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{{1,{_LONGEST}}}")
"""What may be asked for: it is compared with names that clients proved, and goes nowhere else."""


@dataclass(frozen=True, slots=True)
class Session:
    """An SA of a user's, since when (epoch seconds), and what those of its children carried that are gone.

    `proof` is None before anybody looked by what he proved himself."""

    sa: IkeSa
    users: UsersOf
    login: float
    bytes_in: int = 0
    bytes_out: int = 0
    proof: Proof | None = None

    @property
    def identity(self) -> str:
        """Who he is by what he proved."""
        return self.sa.identity

    @property
    def status(self) -> SessionStatus:
        """The session as it is shown."""
        sa, identity = self.sa, self.identity
        up = [child for child in sa.children if child.state in CHILD_UP]
        return SessionStatus(
            user=user_of(identity),
            identity=identity,
            group=dict(self.users.groups).get(sa.connection, ""),
            addresses=sa.virtual_addresses,
            remote_address=sa.remote_address,
            remote_port=sa.remote_port,
            cipher=up[-1].cipher if up else "",
            ike_cipher=sa.cipher,
            bytes_in=self.bytes_in + sum(child.bytes_in for child in up),
            bytes_out=self.bytes_out + sum(child.bytes_out for child in up),
            since=self.login,
            gateway=self.users.gateway,
            instance=self.users.instance,
            ike_sa=sa.uniqueid,
        )


def user_of(identity: str) -> str:
    """Returns how a user is called: by the common name of a subject, else as he calls himself.

    charon escapes nothing: what looks like several may be one with others' names in it.

    >>> user_of("O=Example, CN=alice"), user_of("CN=Doe, John, O=Example"), user_of("alice@example.com")
    ('alice', 'Doe, John', 'alice@example.com')
    >>> user_of("O=Example, CN=Doe, CN=alice")
    'O=Example, CN=Doe, CN=alice'
    """
    names = _COMMON_NAME.findall(identity)
    return str(names[0] if len(names) == 1 else identity)[:_LONGEST]


def stands(sa: IkeSa) -> bool:
    """Tells whether a client has an address and carries; of an SA that was rekeyed its successor does."""
    up = any(child.state in CHILD_UP for child in sa.children)
    return sa.state == "ESTABLISHED" and bool(sa.virtual_addresses) and up


def spis(sa: IkeSa) -> tuple[str, str]:
    """Returns what tells an SA from every other, of whatever charon."""
    return sa.initiator_spi, sa.responder_spi


def whose(sa: IkeSa) -> tuple[object, ...]:
    """Returns what an SA has in common with the one that takes its place."""
    return sa.connection, sa.identity, sa.virtual_addresses


def fields(status: SessionStatus) -> dict[str, Any]:
    """Returns what an event says of a session."""
    identity = {} if status.identity == status.user else {"identity": status.identity[:_LONGEST]}
    ends = {"address": " ".join(status.addresses), "client": status.remote_address}
    return {"user": status.user, **identity, **ends, "instance": status.instance}
