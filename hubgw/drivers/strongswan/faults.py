"""What charon logs of IKE SAs -> why one came to nothing. No I/O.

The log alone has the reasons; its lines are joined by the IKE SA's unique id. Before charon has chosen a connection,
who speaks is known by address alone.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from hubgw.names import interface_of

_REMEMBERED: Final = 4096  # IKE SAs of which something was heard
_LONGEST: Final = 1024  # bytes of a line that are looked at: peers have a say in it, and a long one takes patterns long


class Why(Enum):
    """Why an IKE SA, or its child, came to nothing."""

    NO_PROPOSAL = auto()  # nothing of what the branch offers is configured here
    PROPOSALS_REFUSED = auto()  # the branch takes nothing of what is offered
    NO_CONNECTION = auto()  # no connection for these addresses
    UNKNOWN_IDENTITY = auto()  # the branch calls itself what no connection knows
    OTHER_IDENTITY = auto()  # the branch that answers calls itself something else
    WRONG_KEY = auto()  # the branch proves another key
    AUTHENTICATION_REFUSED = auto()  # the branch does not believe the hub, or does not know it
    CERTIFICATE = auto()  # none that the branch shows is believed; details say why
    OTHER_AUTHORITY = auto()  # the branch's is of an authority that the hub has for others
    UNREADABLE = auto()  # IKEv1: what was encrypted with a key from the preshared one cannot be read
    SELECTORS = auto()  # the branch asks for traffic that the hub's selectors leave out
    SELECTORS_REFUSED = auto()  # and the other way around
    NO_ANSWER = auto()
    AGGRESSIVE = auto()
    WITHOUT_IKEV1 = auto()  # charon was built so
    # Of users' clients alone:
    NO_ADDRESS = auto()  # every address of the pools is in use
    NO_ADDRESS_ASKED = auto()  # the client wants none
    EAP_FAILED = auto()  # a wrong password, or a user whom nobody knows
    EAP_METHOD = auto()  # the client takes another EAP method alone
    NO_PROOF = auto()  # the client shows neither a certificate nor what EAP asks for
    HALF_OPEN = auto()  # the client began, and did not go on


OF_USERS: Final = frozenset(
    {Why.NO_ADDRESS, Why.NO_ADDRESS_ASKED, Why.EAP_FAILED, Why.EAP_METHOD, Why.NO_PROOF, Why.HALF_OPEN}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: of a connection, or of whoever is at an address and spoke to a `local` one, where that is known.

    `details` are charon's words for what differs; `ike_sa` is the unique id, 0 where there is none.
    """

    why: Why
    connection: str = ""
    address: str = ""
    local: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    ike_sa: int = 0


class Ending(Enum):
    """Who ended an IKE SA that stood."""

    PEER = auto()
    HUB = auto()
    REPLACED = auto()  # the hub, for another of the same identity


@dataclass(frozen=True, slots=True)
class Ended:
    """An IKE SA that stood ends, and how."""

    ike_sa: int
    how: Ending


_NOTED: Final = (
    re.compile(r"received packet: from (?P<address>[0-9.]+)\[\d+\] to (?P<local>[0-9.]+)\["),
    re.compile(r"(?P<address>[0-9.]+) is initiating an? (?:\w+ Mode )?IKE_SA"),
    re.compile(r"initiating (?:\w+ Mode )?IKE_SA \S+ to (?P<address>[0-9.]+)"),
    re.compile(r"received proposals: (?P<received>.+)"),
    re.compile(r"configured proposals: (?P<configured>.+)"),
    # IKEv1's has no identity that the hub is called by.
    re.compile(r"looking for .*peer configs matching [0-9.]+(?:\[(?P<called>.*)\])?\.\.\.[0-9.]+\[(?P<identity>.*)\]"),
    re.compile(r"(?:subject|issuer|peer) certificate invalid \((?P<validity>valid from .+)\)"),
    re.compile(r"certificate was revoked on (?P<revoked>.+), reason: "),
    re.compile(r"certificate status is (?P<unlisted>not available|unknown, crl is stale)"),
    re.compile(
        r' *(?:no issuer certificate found for|self-signed certificate) "(?P<unbelieved>.*)"(?: is not trusted)?'
    ),
    # Others of that subject, which charon remembers, are tried too, and then nothing more is said.
    re.compile(r"signature (?P<mismatched>validation failed), looking for another key"),
    re.compile(r"IKE_SA \S+ (?P<established>established) between"),
    re.compile(r"received EAP identity '(?P<eap_identity>.*)'"),
    re.compile(r"no EAP key found for hosts '.*' - '(?P<unknown>.*)'"),
    re.compile(r"RADIUS \S+ (?P<silent>timed out) after"),
    re.compile(r"pool '(?P<pool>\S+)' is full, unable to assign address"),
)
_REASONS: Final = (
    (Why.NO_PROPOSAL, re.compile(r"received proposals unacceptable|no (?:acceptable |matching )?proposal found")),
    # Of IKEv2's children: an SA that was rekeyed, or is older than the agent, was not heard to be established.
    (Why.PROPOSALS_REFUSED, re.compile(r"received NO_PROPOSAL_CHOSEN notify, no (?P<established>CHILD_SA) built")),
    (Why.PROPOSALS_REFUSED, re.compile(r"received NO_PROPOSAL_CHOSEN (?:notify|error)")),
    (Why.NO_CONNECTION, re.compile(r"no IKE config found for [0-9.]+\.\.\.(?P<address>[0-9.]+)")),
    (Why.UNKNOWN_IDENTITY, re.compile(r"no (?:matching )?peer config found")),
    # Debian's security updates of 6.0.1 tell the identity's type behind it.
    (Why.OTHER_IDENTITY, re.compile(r"constraint check failed: identity '.*'(?: \(\w+\))? required")),
    (Why.CERTIFICATE, re.compile(r"constraint check failed: certificate does not confirm identity '(?P<identity>.*)'")),
    (Why.WRONG_KEY, re.compile(r"tried \d+ shared keys? for '.*' - '.*', but MAC mismatched")),
    (Why.AUTHENTICATION_REFUSED, re.compile(r"received AUTHENTICATION_FAILED (?:notify|error)")),
    (Why.CERTIFICATE, re.compile(r"no trusted \S+ public key found for '(?P<identity>.*)'")),
    (Why.OTHER_AUTHORITY, re.compile(r"constraint check failed: peer not authenticated by CA '(?P<authority>.*)'")),
    (Why.UNREADABLE, re.compile(r"message parsing failed")),
    (Why.SELECTORS, re.compile(r"traffic selectors (?P<wanted>.+) unacceptable|no matching CHILD_SA config found")),
    (Why.SELECTORS_REFUSED, re.compile(r"received (?:TS_UNACCEPTABLE|INVALID_ID_INFORMATION) (?:notify|error)")),
    (Why.NO_ANSWER, re.compile(r"giving up after \d+ retransmits")),
    (Why.AGGRESSIVE, re.compile(r"Aggressive Mode PSK disabled for security reasons")),
    (Why.WITHOUT_IKEV1, re.compile(r"received unsupported IKE version 1\.\d+ from (?P<address>[0-9.]+), ")),
    (Why.NO_ADDRESS, re.compile(r"no virtual IP found, sending INTERNAL_ADDRESS_FAILURE")),
    (Why.NO_ADDRESS_ASKED, re.compile(r"expected a virtual IP request, sending FAILED_CP_REQUIRED")),
    (Why.EAP_FAILED, re.compile(r"EAP (?:vendor specific )?method \S+ failed for peer ")),
    # The client may try again, and most do so in another SA: this one stays half open.
    (Why.EAP_FAILED, re.compile(r"EAP-MS-CHAPv2 verification failed")),
    # That of RADIUS begins with the server's answer.
    (Why.EAP_FAILED, re.compile(r"initiating EAP_RADIUS method failed")),
    (Why.EAP_METHOD, re.compile(r"received EAP_NAK, sending EAP_FAILURE")),
    (Why.NO_PROOF, re.compile(r"no alternative config found")),
    (Why.HALF_OPEN, re.compile(r"deleting half open IKE_SA with (?P<address>[0-9.]+) after timeout")),
)
_ENDINGS: Final = (
    (Ending.PEER, re.compile(r"received DELETE for IKE_SA ")),
    (Ending.HUB, re.compile(r"sending DELETE for IKE_SA ")),
    (Ending.REPLACED, re.compile(r"(?:destroying|deleting) duplicate IKE_SA for peer ")),
)
_MISMATCHED: Final = re.compile(r"generating (?:IKE_AUTH response|INFORMATIONAL request) \d+ \[ N\(AUTH_FAILED\) \]")
"""What charon ends with where signatures did not fit: it says no more then."""

_STARTED: Final = re.compile("Starting charon")


@dataclass(frozen=True, slots=True)
class _Saying:
    """What is to be heard, what it means, and the groups of `_LINE` that have its details."""

    means: Why | Ending | None
    pattern: re.Pattern[str]
    details: Mapping[str, int]


_SAYINGS: Final[tuple[tuple[Why | Ending | None, re.Pattern[str]], ...]] = (
    *((None, noted) for noted in (_STARTED, *_NOTED)),
    *_REASONS,
    (Why.CERTIFICATE, _MISMATCHED),
    *_ENDINGS,
)
"""What is to be heard; the first that fits is what was said."""

_LINE: Final = re.compile(
    # The thread and the group, the IKE SA as charon calls it, and what says something: an empty group behind it tells
    # which it was. Most lines say nothing, and nothing of their beginning is tried in another way.
    rb"\d++\[[A-Z]++\] (?><(?:(?P<name>[^|>]*+)\|)?(?P<number>\d++)> )?+(?:"
    + "|".join(
        "(?:" + re.sub(r"\(\?P<(\w+)>", rf"(?P<\1_{number}>", one.pattern) + f")(?P<said_{number}>)"
        for number, (_, one) in enumerate(_SAYINGS)
    ).encode()
    + rb")"
)
_BY_GROUP: Final = {
    _LINE.groupindex[f"said_{number}"]: _Saying(
        means, one, {name: _LINE.groupindex[f"{name}_{number}"] for name in one.groupindex}
    )
    for number, (means, one) in enumerate(_SAYINGS)
}


class Faults:
    """What was heard of each IKE SA, and what that means."""

    def __init__(self) -> None:
        self._heard: OrderedDict[int, dict[str, str]] = OrderedDict()

    def hear(self, lines: bytes) -> Iterator[Fault | Ended]:
        """Takes whole lines of the log, as a `filelog` with `ike_name` has them; yields the failures and ends that they
        tell. Most lines tell none: a login makes charon write some fifty."""
        for line in lines.split(b"\n"):
            if found := _LINE.match(line, 0, _LONGEST):
                saying = _BY_GROUP[found.lastindex or 0]
                details = {
                    name: _text(said) for name, group in saying.details.items() if (said := found[group]) is not None
                }
                yield from self._hear(_text(found["name"] or b""), int(found["number"] or 0), saying, details)

    def _hear(self, name: str, number: int, saying: _Saying, details: dict[str, str]) -> Iterator[Fault | Ended]:
        if saying.pattern is _STARTED:
            # Another charon, which numbers from 1 again.
            self._heard.clear()
            return
        heard = self._of(number) if number else {}
        if saying.means is None:
            heard |= details
        elif isinstance(saying.means, Ending):
            yield Ended(number, saying.means)
        elif saying.pattern is not _MISMATCHED or "mismatched" in heard:
            about = heard | details
            address, local = about.pop("address", ""), about.pop("local", "")
            connection = name if interface_of(name) else ""
            if connection or address:
                yield Fault(saying.means, connection, address, local, about, number)

    def _of(self, number: int) -> dict[str, str]:
        """Returns what was heard of an IKE SA, to be added to."""
        heard = self._heard.setdefault(number, {})
        self._heard.move_to_end(number)
        if len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        return heard


def _text(octets: bytes) -> str:
    text = octets.decode(errors="replace")
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)
