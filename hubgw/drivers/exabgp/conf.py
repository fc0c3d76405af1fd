"""Speaker + Neighbors -> the text of ExaBGP's configuration. Pure.

The text holds the passwords. ExaBGP's adapter sees to all that is not said here: what is announced, End-of-RIB, how
long a session is held down.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Final

from hubgw.names import INTERFACE
from hubgw.plan.sessions import Neighbor, Speaker

PORT: Final = 179
RESTART_TIME: Final = 120  # seconds that a peer keeps our routes while we are away (RFC 4724)

_TITLE: Final = "# sha256 "
_PASSWORD: Final = re.compile(r'md5-password "([^"]*)"')

# What only the helper goes by stands in a comment, so that the digest tells of it too.
# TTL 255 to everyone, as RFC 5082, 3 has it for those who check; what arrives is checked by nftables, since the
# listening socket is shared. The password is in base64 since ExaBGP's quotes protect neither quotes nor backslashes.
_NEIGHBOR: Final = """\
# at most {maximum_prefixes} prefixes, site {site}
neighbor {address} {{
    router-id {router_id};
    local-address {local_address};
    local-as {local_asn};
    peer-as {asn};
    hold-time {hold_time};
    passive {passive};
    listen {port};
    connect {port};
    outgoing-ttl 255;
{options}    capability {{
        asn4 enable;
        route-refresh enable;
        graceful-restart {restart_time};
        extended-message disable;
    }}
    family {{
        ipv4 unicast;
    }}
}}
"""


def render(speaker: Speaker, neighbors: Iterable[Neighbor], port: int = PORT) -> str:
    """Returns the text of exabgp.conf. Its first line names the SHA-256 digest of the rest.

    Sessions are listened for and dialled at `port`. A speaker without a VRF uses the machine's own addresses.

    Raises:
        ValueError: what would not be read as it is meant.
    """
    if speaker.vrf and not INTERFACE.fullmatch(speaker.vrf):
        raise ValueError(f"speaker {speaker.name}: {speaker.vrf!r} is no name of an interface")
    ordered = sorted(neighbors, key=lambda neighbor: int(neighbor.address))
    rest = "".join(_neighbor(speaker, neighbor, port) for neighbor in ordered)
    return f"{_TITLE}{_sha256(rest)}\n{rest}"


def digest(text: str) -> str:
    """Returns the digest that the first line names; empty where it is not that of the rest."""
    title, _, rest = text.partition("\n")
    named = title.removeprefix(_TITLE)
    return named if title.startswith(_TITLE) and named == _sha256(rest) else ""


def redact(words: str, text: str) -> str:
    """Returns words about the configuration `text` without the passwords that it holds."""
    for password in _PASSWORD.findall(text):
        words = words.replace(password, "***")
    return words


def _neighbor(speaker: Speaker, neighbor: Neighbor, port: int) -> str:
    where = f"speaker {speaker.name}: neighbor {neighbor.address}"
    if not isinstance(neighbor.address, IPv4Address) or not isinstance(neighbor.local_address, IPv4Address):
        raise ValueError(f"{where}: not an IPv4 address")
    if not (0 < neighbor.asn < 2**32 and 0 < speaker.asn < 2**32):
        raise ValueError(f"{where}: {neighbor.asn} and {speaker.asn} are not both AS numbers")
    if neighbor.hold_time and not 3 <= neighbor.hold_time < 2**16:
        raise ValueError(f"{where}: a hold time of {neighbor.hold_time} s; RFC 4271 has 0, or 3 to 65535")
    options = f"    source-interface {speaker.vrf};\n" if speaker.vrf else ""
    if neighbor.password is not None:
        secret = neighbor.password.reveal().encode()
        if not 1 <= len(secret) <= 80:
            raise ValueError(f"{where}: a password of {len(secret)} octets; the kernel's TCP MD5 takes 1 to 80")
        options += f'    md5-base64 true;\n    md5-password "{base64.b64encode(secret).decode()}";\n'
    return _NEIGHBOR.format(
        maximum_prefixes=int(neighbor.maximum_prefixes),
        site=neighbor.site,
        address=neighbor.address,
        router_id=speaker.addresses[0],
        local_address=neighbor.local_address,
        local_asn=int(speaker.asn),
        asn=int(neighbor.asn),
        hold_time=int(neighbor.hold_time),
        passive="true" if neighbor.passive else "false",
        port=int(port),
        options=options,
        restart_time=RESTART_TIME,
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
