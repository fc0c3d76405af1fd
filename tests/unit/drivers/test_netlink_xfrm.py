"""XFRM's structures: a state and a policy as the kernel of Debian 13 dumps them, laid out by hand."""

import struct
from ipaddress import IPv4Address

from hubgw.drivers.netlink import wire, xfrm

DST, SRC = IPv4Address("198.51.100.10"), IPv4Address("192.0.2.1")


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def state(*attributes: bytes) -> bytes:
    selector = bytes(56)
    identity = DST.packed + bytes(12) + struct.pack(">I", 0xC0FFEE01) + bytes((50, 0, 0, 0))
    limits, counters = bytes(64), struct.pack("=4Q", 1500, 3, 1_700_000_000, 1_700_000_005)
    rest = struct.pack("=III", 2, 5, 9) + struct.pack("=IIHBBB", 0, 1, 2, 1, 32, 0) + bytes(7)
    body = selector + identity + SRC.packed + bytes(12) + limits + counters + rest
    assert len(body) == 224
    return bytes(16) + body + b"".join(attributes)


def test_state() -> None:
    (sa,) = xfrm.states([state(wire.u32(31, 100_000_001), attribute(4, bytes(24)), attribute(33, b"\1"))])
    assert sa == xfrm.KernelSa(
        if_id=100_000_001,
        spi=0xC0FFEE01,
        src=SRC,
        dst=DST,
        proto=50,
        encap=True,
        bytes=1500,
        packets=3,
        add_time=1_700_000_000,
        use_time=1_700_000_005,
        replayed=2 + 5,
        integrity_failed=9,
        direction="in",
    )


def test_state_without_attributes() -> None:
    (sa,) = xfrm.states([state()])
    assert (sa.if_id, sa.encap, sa.direction) == (0, False, "")


def test_deletion_of_a_state() -> None:
    (sa,) = xfrm.states([state()])
    deletion = xfrm.delete_state(sa)
    assert deletion[16:] == DST.packed + bytes(12) + struct.pack(">I", 0xC0FFEE01) + struct.pack("=HBx", 2, 50)


def test_only_policies_of_the_interfaces_named_are_deleted() -> None:
    selector = bytes(range(56))
    body = selector + bytes(96) + struct.pack("=IIBBBB", 0, 9, 1, 0, 0, 0) + bytes(4)
    policies = [bytes(16) + body + wire.u32(31, if_id) for if_id in (100_000_001, 7)]
    (deletion,) = xfrm.policy_deletions(policies, {100_000_001})
    assert deletion[16:] == selector + struct.pack("=IBxxx", 9, 1) + wire.u32(31, 100_000_001)


def test_nothing_of_a_key_is_kept() -> None:
    key = b"secret-key-of-16"
    (sa,) = xfrm.states([state(attribute(18, b"rfc4106(gcm(aes))".ljust(64, b"\0") + bytes(8) + key))])
    assert "secret" not in repr(sa)
