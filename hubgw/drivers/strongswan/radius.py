"""RADIUS servers -> the file of charon's settings that names them, and back without their secrets.

VICI has no command for them: charon reads its settings again (`reload-settings`), and its sessions stay.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from hubgw.drivers import ledger_file
from hubgw.names import Secret
from hubgw.plan.ipsec import IkeRadius

_SCORE_WEIGHS: Final = 3
"""charon adds up to 100 for sockets that are free, and 110 where a server answers: of two that answer the score decides
while half of the sockets are free, and one that does not answer never comes before one that does, but now and then."""

# A server that is dead costs the login that finds it so 1 + 1.5 s, two attempts; charon's default is 14. A login that
# waits for a socket would hold its thread for longer than that, so there is one for each thread that may ask. Requests
# are for the users' EAP alone: with accounting, a silent server would end sessions.
_FILE: Final = """\
# Written by hubgw.
charon-systemd {{
    plugins {{
        eap-radius {{
            class_group = yes
            accounting = no
            accounting_close_on_timeout = no
            nas_identifier = hubgw
            sockets = 96
            retransmit_timeout = 1.0
            retransmit_base = 1.5
            retransmit_tries = 2
            servers {{
{servers}
            }}
        }}
    }}
}}
"""
_SERVER: Final = """\
                # {address} {score} {digest}
                server{number} {{
                    address = {address}
                    preference = {preference}
                    secret = {secret}
                }}"""
_NAMED: Final = re.compile(r"^ *# ([0-9.]+) ([0-9]+) ([0-9a-f]+)$", re.MULTILINE)


def write(path: Path, servers: Iterable[IkeRadius]) -> str:
    """Replaces the file, which root alone can read. Returns why that failed, or an empty string."""
    try:
        ledger_file.replace(path, text_of(servers))
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def read(path: Path) -> set[IkeRadius]:
    """Returns the servers that the file names; their secrets are told by their digests alone."""
    try:
        text = path.read_text()
    except OSError:
        return set()
    return {IkeRadius(address, int(score), digest, Secret("")) for address, score, digest in _NAMED.findall(text)}


def text_of(servers: Iterable[IkeRadius]) -> str:
    """Returns what the file holds."""
    sections = (
        _SERVER.format(
            address=one.address,
            score=one.score,
            digest=one.digest,
            number=number,
            preference=one.score * _SCORE_WEIGHS,
            secret=_quoted(one.secret),
        )
        for number, one in enumerate(sorted(servers, key=lambda one: one.address))
    )
    return _FILE.format(servers="\n".join(sections))


def _quoted(secret: Secret) -> str:
    text = secret.reveal().replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
