"""Underlay MTU -> the MTU of a tunnel, from the worst suite that is offered."""

IPV4_TCP_HEADERS = 40  # bytes: what an MSS leaves out of an MTU

_OUTER_IPV4 = 20
_NAT_T_UDP = 8
_ESP_HEADER = 8
_ESP_TRAILER = 2  # pad length and next header
# AES-CBC with HMAC-SHA-256-128, the worst of `hubgw.compile.ike.ESP_PROPOSALS` (RFC 3602, RFC 4868).
_IV = 16
_ICV = 16
_BLOCK = 16


def tunnel_mtu(underlay_mtu: int) -> int:
    """Returns the largest inner packet, in bytes, that leaves in one outer IPv4 packet with any suite and NAT-T.

    >>> tunnel_mtu(1500)
    1422
    """
    payload = underlay_mtu - _OUTER_IPV4 - _NAT_T_UDP - _ESP_HEADER - _IV - _ICV
    return payload // _BLOCK * _BLOCK - _ESP_TRAILER
