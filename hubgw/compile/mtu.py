"""Underlay MTU -> the MTU of a tunnel, from the worst suite that it may get."""

from collections.abc import Iterable
from typing import Final

IPV4_TCP_HEADERS = 40  # bytes: what an MSS leaves out of an MTU

_OUTER_IPV4 = 20
_NAT_T_UDP = 8
_ESP_HEADER = 8
_ESP_TRAILER = 2  # pad length and next header

_GCM: Final = "gcm16"
_CIPHERS: Final = {"aes": (16, 16), "3des": (8, 8), "null": (0, 4)}
"""IV and block, in bytes, by what the cipher's token begins with (RFC 3602, RFC 2451, RFC 2410)."""
_COMBINED: Final = (8, 16, 4)
"""IV, ICV and block of AES-GCM with an ICV of 16 bytes (RFC 4106)."""
_ICV: Final = {"sha1": 12, "sha256": 16}
"""ICV of a hash as ESP uses it (RFC 2404, RFC 4868)."""

WORST: Final = ("aes256-sha256",)
"""A proposal than which none leaves less room."""


def tunnel_mtu(underlay_mtu: int, esp_proposals: Iterable[str] = WORST) -> int:
    """Returns the largest inner packet, in bytes, that leaves in one outer IPv4 packet with NAT-T and any of these.

    >>> tunnel_mtu(1500), tunnel_mtu(1500, ["aes256gcm16-ecp384"])
    (1422, 1438)
    """
    return min(_inner(underlay_mtu, *_sizes(proposal)) for proposal in esp_proposals)


def _inner(underlay_mtu: int, iv: int, icv: int, block: int) -> int:
    payload = underlay_mtu - _OUTER_IPV4 - _NAT_T_UDP - _ESP_HEADER - iv - icv
    return payload // block * block - _ESP_TRAILER


def _sizes(proposal: str) -> tuple[int, int, int]:
    cipher, *rest = proposal.split("-")
    if cipher.endswith(_GCM):
        return _COMBINED
    iv, block = next(sizes for start, sizes in _CIPHERS.items() if cipher.startswith(start))
    return iv, _ICV[rest[0]], block
