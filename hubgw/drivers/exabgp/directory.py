"""A speaker's directory: what it shall hold <-> Speaker and Neighbors.

    neighbors.json   all that is no secret: what the helper goes by, and what was written last
    exabgp.conf      what ExaBGP loads, with the passwords
    sockets/         where the helper listens, and the one place that the speaker's uid may write to
    exabgp/ helper/  the two service directories

What reaches a file name, a script or ExaBGP's configuration is checked here again, though compile made it.
"""

import json
import re
import shutil
import stat
from collections.abc import Iterable
from dataclasses import fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from hubgw.drivers.exabgp import conf, files
from hubgw.plan.numbers import SESSIONS
from hubgw.plan.sessions import Neighbor, Speaker

SPEAKER: Final = re.compile(r"(hgv[0-9]{1,12})-[01]", re.ASCII)
_SITE: Final = re.compile(r"[A-Za-z0-9/._() -]{0,2048}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9A-Za-z]{0,128}", re.ASCII)
# RFC 2385, 4.5: of the kernel no more than 80 octets; without what would end a quoted word or a statement.
_PASSWORD: Final = re.compile(r"[!$-&(-:<-\[\]-z|~]{1,80}", re.ASCII)

CONF: Final = "exabgp.conf"
NEIGHBORS: Final = "neighbors.json"
SOCKETS: Final = "sockets"
ADAPTER_SOCKET: Final = f"{SOCKETS}/helper.sock"
AGENT_SOCKET: Final = f"{SOCKETS}/agent.sock"


def fault(wanted: Speaker | Neighbor) -> str:
    """Returns what is wrong with a speaker or neighbor; empty where nothing is."""
    name = wanted.name if isinstance(wanted, Speaker) else wanted.speaker
    match = SPEAKER.fullmatch(name)
    if not match:
        return f"{name!r} is no name of a speaker"
    if not 0 < wanted.asn < 2**32:
        return f"{wanted.asn} is no AS number"
    if isinstance(wanted, Speaker):
        if wanted.vrf != match[1]:
            return f"{wanted.vrf!r} is not the VRF of {name}"
        if wanted.uid not in SESSIONS:
            return f"uid {wanted.uid} is none of {SESSIONS.start}-{SESSIONS.stop - 1}"
        if not wanted.addresses or not all(isinstance(address, IPv4Address) for address in wanted.addresses):
            return "it has no IPv4 address to listen at"
        return ""
    if not all(isinstance(address, IPv4Address) for address in (wanted.address, wanted.local_address)):
        return f"{wanted.address} and {wanted.local_address} are not both IPv4 addresses"
    if wanted.hold_time and not 3 <= wanted.hold_time < 2**16:
        return f"a hold time of {wanted.hold_time} s; RFC 4271 has 0, or 3 to 65535"
    if not 0 <= wanted.maximum_prefixes < 2**32:
        return f"at most {wanted.maximum_prefixes} prefixes"
    if not _SITE.fullmatch(wanted.site) or not _DIGEST.fullmatch(wanted.digest):
        return f"{wanted.site!r} is no id of a site"
    if wanted.password is not None and not _PASSWORD.fullmatch(wanted.password.reveal()):
        return "its password is not 1 to 80 printable ASCII characters"
    return ""


def encode(speaker: Speaker, neighbors: Iterable[Neighbor]) -> str:
    """Returns the text of neighbors.json, without any password."""
    document = {
        "speaker": _plain(speaker),
        "neighbors": [_plain(neighbor) for neighbor in neighbors],
    }
    return json.dumps(document, indent=1) + "\n"


def _plain(obj: Speaker | Neighbor) -> dict[str, Any]:
    named = {field.name: getattr(obj, field.name) for field in fields(obj) if field.name != "password"}
    return {name: _text(value) if not isinstance(value, str | int) else value for name, value in named.items()}


def _text(value: object) -> object:
    return [str(one) for one in value] if isinstance(value, tuple) else str(value)


def decode(text: str) -> tuple[Speaker, list[Neighbor]]:
    """Returns what was encoded. Raises ValueError for what was not, or is not valid."""
    try:
        document = json.loads(text)
        told = document["speaker"]
        speaker = Speaker(**{**told, "addresses": tuple(map(IPv4Address, told["addresses"]))})
        neighbors = [
            Neighbor(**{**one, **{name: IPv4Address(one[name]) for name in ("address", "local_address")}})
            for one in document["neighbors"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{NEIGHBORS}: {error}") from error
    everything: list[Speaker | Neighbor] = [speaker, *neighbors]
    for obj in everything:
        if reason := fault(obj):
            raise ValueError(f"{NEIGHBORS}: {reason}")
    return speaker, neighbors


class Directory:
    """The directory of one speaker."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def agent_socket(self) -> Path:
        return self.path / AGENT_SOCKET

    def read(self) -> tuple[Speaker, list[Neighbor]] | None:
        """Returns what neighbors.json holds; None where it is not there, or not ours."""
        text = files.text(self.path / NEIGHBORS)
        try:
            speaker, neighbors = decode(text or "")
        except ValueError:
            return None
        return (speaker, neighbors) if speaker.name == self.path.name else None

    def digest(self) -> str:
        """Returns the digest of the configuration that lies there; empty where there is none that is whole."""
        return conf.digest(files.text(self.path / CONF) or "")

    def intact(self, speaker: Speaker) -> bool:
        """Tells whether all that neighbors.json does not say lies there as `write` makes it."""
        uid = speaker.uid
        return (
            bool(self.digest())
            and files.has(self.path, stat.S_IFDIR, 0o750, 0, uid)
            and files.has(self.path / SOCKETS, stat.S_IFDIR, 0o700, uid, uid)
            and all(files.has(self.path / name, stat.S_IFREG, 0o640, 0, uid) for name in (CONF, NEIGHBORS))
        )

    def write(self, speaker: Speaker, neighbors: Iterable[Neighbor], text: str) -> bool:
        """Writes what differs; tells whether the sockets' directory was made. Raises OSError.

        neighbors.json comes last: what an agent that dies leaves undone is seen as not there.
        """
        uid = speaker.uid
        files.directory(self.path, 0o750, 0, uid)
        made = files.directory(self.path / SOCKETS, 0o700, uid, uid)
        files.write(self.path / CONF, text, 0o640, uid)
        files.write(self.path / NEIGHBORS, encode(speaker, neighbors), 0o640, uid)
        return made

    def remove(self) -> None:
        """Removes all. Raises OSError."""
        if self.path.is_symlink() or not self.path.is_dir():
            self.path.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path)
