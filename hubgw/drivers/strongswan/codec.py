"""VICI messages <-> plan types and SAs, without I/O. Messages are nested dictionaries whose leaves are bytes."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from hubgw.names import USER_PREFIX, interface_of, is_ours
from hubgw.plan.ipsec import (
    SA_TERMS,
    IkeCertificate,
    IkeConnection,
    IkeKey,
    IkeSecret,
    child_names,
)

Message = Mapping[str, Any]

_UNNAMED: Final = "(unnamed)"
REPLAY_WINDOW: Final = 1024  # packets: multipath and many cores reorder by more than the default of 32


# Not frozen, though nobody changes them: that takes several times as long to make, and they come by the thousand.
@dataclass(slots=True)
class ChildSa:
    """One child SA; SPIs in hexadecimal, `installed` in seconds since it was.

    `selectors` are the traffic selectors that were agreed on, ours first.
    """

    name: str
    uniqueid: int
    state: str
    spi_in: str
    spi_out: str
    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int
    installed: int
    encap: bool
    cipher: str
    selectors: str = ""


@dataclass(slots=True)
class IkeSa:
    """One IKE SA of a connection of ours; `established` in seconds since it was, 0 before. `version` is that of IKE.

    `virtual_addresses` are those that a user's client was given; `eap_identity` is whom EAP proved, "" without it.
    """

    connection: str
    uniqueid: int
    state: str
    initiator: bool
    local_address: str
    remote_address: str
    local_id: str
    remote_id: str
    initiator_spi: str
    responder_spi: str
    established: int
    children: tuple[ChildSa, ...]
    version: int = 0
    cipher: str = ""
    remote_port: int = 0
    virtual_addresses: tuple[str, ...] = ()
    eap_identity: str = ""

    @property
    def identity(self) -> str:
        """Who the other end is by what it proved: by EAP that is the EAP identity, whatever it calls itself in IKE."""
        return self.eap_identity or self.remote_id


Certificates = Mapping[str, IkeCertificate]
"""The certificates that connections refer to, by digest."""


def key_exchanges(message: Message) -> frozenset[str]:
    """Returns the key exchange methods that get-algorithms has, in the words of proposals: ``mlkem768``, ``ecp384``."""
    return frozenset(name.replace("_", "").lower() for name in message.get("ke", {}))


def offered(proposals: Iterable[str], methods: Set[str]) -> list[str]:
    """Returns the proposals without those that have an additional key exchange (RFC 9370) of another method.

    charon takes those as well, and offers what it cannot do.
    """

    def possible(proposal: str) -> bool:
        return all(part.partition("_")[2] in methods for part in proposal.split("-") if part.startswith("ke1_"))

    return [proposal for proposal in proposals if possible(proposal)]


def encode_connection(
    connection: IkeConnection, certificates: Certificates = MappingProxyType({}), methods: Set[str] = frozenset()
) -> dict[str, object]:
    """Returns what load-conn takes; the certificates that the connection refers to are among those given.

    `methods` are the key exchanges that charon has.
    """
    dpd_timeout = {"dpd_timeout": str(connection.dpd_timeout)} if connection.dpd_timeout else {}
    return {
        connection.name: {
            "version": str(connection.version),
            # It tells the branch every address of the machine, the other instance's too.
            "mobike": "yes" if connection.mobike else "no",
            "local_addrs": [connection.local_address],
            "remote_addrs": [connection.remote_address],
            # RFC 7383, where both ends can: fragments of IP are what firewalls drop.
            "fragmentation": "yes",
            "proposals": offered(connection.proposals, methods),
            "keyingtries": "1",  # attempts are the agent's to repeat
            # No value keeps duplicates away when both ends start at once, and `replace` can leave one end with two.
            "unique": "never",
            "dpd_delay": str(connection.dpd_delay),
            **dpd_timeout,
            "rekey_time": str(connection.rekey_time),
            # Devices of others do not ask for the certificate that they need.
            **({"send_cert": "always"} if connection.certificate else {}),
            **_ends(connection, certificates),
            "children": {
                name: {
                    "local_ts": [local],
                    "remote_ts": [remote],
                    "if_id_in": str(connection.if_id),
                    "if_id_out": str(connection.if_id),
                    "esp_proposals": offered(connection.esp_proposals, methods),
                    "rekey_time": str(connection.child_rekey_time),
                    "life_time": str(connection.child_life_time),
                    "rekey_bytes": str(connection.child_rekey_bytes),
                    "life_bytes": str(connection.child_life_bytes),
                    "replay_window": str(REPLAY_WINDOW),
                    "copy_dscp": "out",  # to the outer header, and not back from one that anybody may have marked
                    "start_action": "none",
                    "close_action": "none",
                    "dpd_action": "clear",
                }
                for name, (local, remote) in zip(
                    child_names(connection.name, connection.selectors), connection.selectors, strict=True
                )
            },
        }
    }


def _ends(connection: IkeConnection, certificates: Certificates) -> dict[str, dict[str, object]]:
    local: dict[str, object] = {"auth": "psk", "id": connection.local_id}
    remote: dict[str, object] = {"auth": "psk", "id": connection.remote_id}
    if connection.certificate:
        local |= {"auth": "pubkey", "certs": [certificates[connection.certificate].der]}
        # Authorities are charon's for all connections: without a list any of them could vouch for this branch.
        remote |= {"auth": "pubkey", "cacerts": [certificates[one].der for one in connection.authorities]}
    return {"local": local, "remote": remote}


def encode_certificate(certificate: IkeCertificate) -> dict[str, object]:
    """Returns what load-cert takes; that of an authority is known by itself."""
    return {"type": "X509_CRL" if certificate.revokes else "X509", "data": certificate.der}


def encode_key(key: IkeKey) -> dict[str, object]:
    """Returns what load-key takes."""
    return {"type": "any", "data": key.secret.reveal()}


def encode_secret(secret: IkeSecret) -> dict[str, object]:
    """Returns what load-shared takes."""
    return {"id": secret.id, "type": "IKE", "data": secret.secret.reveal(), "owners": list(secret.owners)}


def read_back(message: Message, wanted: IkeConnection) -> IkeConnection:
    """Returns a connection as list-conns tells it; what that does not tell is taken to be as wanted."""
    children = message.get("children", {})
    child = _first(children)
    found = {(_text(one.get("local-ts")), _text(one.get("remote-ts"))) for one in children.values()}
    return replace(
        wanted,
        # They come in no order that is ours.
        selectors=wanted.selectors if found == set(wanted.selectors) else tuple(sorted(found)),
        local_address=_text(message.get("local_addrs")),
        remote_address=_text(message.get("remote_addrs")),
        local_id=_text(message.get("local-1", {}).get("id")),
        remote_id=_text(message.get("remote-1", {}).get("id")),
        dpd_delay=_number(message.get("dpd_delay")),
        rekey_time=_number(message.get("rekey_time")),
        child_rekey_time=_number(child.get("rekey_time")),
        version=1 if _text(message.get("version")) == "IKEv1" else 2,
        certificate=wanted.certificate if _by_certificate(message) else "",
        authorities=wanted.authorities if _by_certificate(message) else (),
    )


def _by_certificate(message: Message) -> bool:
    return _text(message.get("remote-1", {}).get("class")) == "public key"


def other_ends(old: IkeConnection, new: IkeConnection) -> bool:
    """Tells whether SAs of the old connection are of no use to the new: another version of IKE, other addresses,
    identities or interface, another way to prove who one is, or an authority that is believed no longer."""

    def ends(one: IkeConnection) -> tuple[object, ...]:
        by_certificate = bool(one.certificate)
        addresses = one.local_address, one.remote_address
        return one.version, one.if_id, *addresses, one.local_id, one.remote_id, by_certificate

    return ends(old) != ends(new) or not set(old.authorities) <= set(new.authorities)


def other_terms(old: IkeConnection, new: IkeConnection) -> bool:
    """Tells whether SAs of the old connection go on, but would not be made so by the new."""
    return not other_ends(old, new) and any(getattr(old, name) != getattr(new, name) for name in SA_TERMS)


def children_gone(old: IkeConnection, new: IkeConnection) -> list[str]:
    """Returns the names of the children that only the old connection has: charon keeps their SAs."""
    kept = set(child_names(new.name, new.selectors))
    return [name for name in child_names(old.name, old.selectors) if name not in kept]


def to_ledger(connection: IkeConnection) -> dict[str, object]:
    """Returns a connection as JSON takes it; there is no secret in one."""
    return asdict(connection)


def from_ledger(entry: Mapping[str, Any]) -> IkeConnection:
    """Returns the connection of a ledger's entry. Raises TypeError or KeyError where another version wrote it."""
    lists = {name: tuple(entry[name]) for name in ("proposals", "esp_proposals", "authorities")}
    selectors = tuple((ours, theirs) for ours, theirs in entry["selectors"])
    return IkeConnection(**{**entry, **lists, "selectors": selectors})


def connection_names(message: Message) -> set[str]:
    """Returns the names of get-conns that are ours."""
    return {name for name in map(_text, message.get("conns", ())) if interface_of(name)}


def secrets(message: Message) -> Iterator[str]:
    """Yields the ids of get-shared that are ours: ``hgt<number>-<digest>``, of passwords ``hgu-<digest>``."""
    for id_ in map(_text, message.get("keys", ())):
        whose, dash, _ = id_.partition("-")
        if dash and (is_ours(whose) or whose == USER_PREFIX):
            yield id_


def foreign_secrets(message: Message) -> set[str]:
    """Returns the ids of get-shared that are not ours."""
    return set(map(_text, message.get("keys", ()))) - set(secrets(message))


def private_keys(message: Message) -> set[str]:
    """Returns the ids of get-keys, everybody's."""
    return set(map(_text, message.get("keys", ())))


_SAME: Final = 2.0
"""Seconds by which charon's start may differ from itself: it tells now less its uptime, in whole seconds. One that
came within that of its predecessor holds no connection, which get-conns shows."""


def started(stats: Message) -> float:
    """Returns charon's start in epoch seconds, from stats; its clock is local time, in whole seconds."""
    return time.mktime(time.strptime(_text(stats["uptime"]["since"]), "%b %d %H:%M:%S %Y"))


def is_another(start: float, before: float) -> bool:
    """Tells whether the charon that started then is another than the one that was there before."""
    return abs(start - before) > _SAME


def ike_sas(messages: Iterable[Message]) -> Iterator[IkeSa]:
    """Yields the IKE SAs of list-sas that are of our connections, or half open and of none yet (`connection` empty)."""
    for message in messages:
        for name, sa in message.items():
            if interface_of(name) or name == _UNNAMED:
                yield IkeSa(
                    connection="" if name == _UNNAMED else name,
                    uniqueid=_number(sa.get("uniqueid")),
                    state=_text(sa.get("state")),
                    initiator=_text(sa.get("initiator")) == "yes",
                    local_address=_text(sa.get("local-host")),
                    remote_address=_text(sa.get("remote-host")),
                    local_id=_text(sa.get("local-id")),
                    remote_id=_text(sa.get("remote-id")),
                    initiator_spi=_text(sa.get("initiator-spi")),
                    responder_spi=_text(sa.get("responder-spi")),
                    established=_number(sa.get("established")),
                    children=tuple(_child(child) for child in sa.get("child-sas", {}).values()),
                    version=_number(sa.get("version")),
                    cipher=_suite(sa, "encr-alg", "encr-keysize", "integ-alg", "prf-alg", "dh-group"),
                    remote_port=_number(sa.get("remote-port")),
                    virtual_addresses=tuple(map(_text, sa.get("remote-vips", ()))),
                    # charon leaves it out where the identity of IKE is the same.
                    eap_identity=_text(sa.get("remote-eap-id")),
                )


def by_connection(sas: Iterable[IkeSa]) -> dict[str, list[IkeSa]]:
    """Returns the IKE SAs of each connection, and under "" those that are of none yet."""
    found: dict[str, list[IkeSa]] = {}
    for sa in sas:
        found.setdefault(sa.connection, []).append(sa)
    return found


def duplicates(sas: Sequence[IkeSa], age: int) -> list[int]:
    """Returns the unique ids to terminate so that one IKE SA is left of those established for `age` seconds or longer.

    By that age a dead one has been found by its dead peer detection, so all of them live. Both ends see the same
    initiator SPIs, so the highest stays whoever decides (as RFC 7296, 2.8.1 does with nonces); one that carries before
    one that does not.
    """
    established = by_connection(sa for sa in sas if sa.state == "ESTABLISHED" and sa.established >= age)
    return [
        sa.uniqueid
        for same in established.values()
        for sa in sorted(same, key=lambda sa: (bool(sa.children), int(sa.initiator_spi, 16)))[:-1]
    ]


def _child(child: Message) -> ChildSa:
    return ChildSa(
        name=_text(child.get("name")),
        uniqueid=_number(child.get("uniqueid")),
        state=_text(child.get("state")),
        spi_in=_text(child.get("spi-in")),
        spi_out=_text(child.get("spi-out")),
        bytes_in=_number(child.get("bytes-in")),
        bytes_out=_number(child.get("bytes-out")),
        packets_in=_number(child.get("packets-in")),
        packets_out=_number(child.get("packets-out")),
        installed=_number(child.get("install-time")),
        encap=_text(child.get("encap")) == "yes",
        cipher=_suite(child, "encr-alg", "encr-keysize", "integ-alg", "dh-group"),
        selectors=f"{_text(child.get('local-ts'))} === {_text(child.get('remote-ts'))}",
    )


def _suite(message: Message, *names: str) -> str:
    return "-".join([_text(message[name]) for name in names if message.get(name)])


def _first(children: Message) -> Message:
    return next(iter(children.values()), {})


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return ",".join(map(_text, value)) if isinstance(value, list) else "" if value is None else str(value)


def _number(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() else 0
