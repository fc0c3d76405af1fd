"""What is remembered of attributes is bounded in octets, whatever a peer sends."""

from hubgw.drivers.exabgp import attributes
from hubgw.drivers.exabgp.attributes import REMEMBERED, TRANSITIVE, Code, canonical, exported, parsed


def _wire(communities: int) -> bytes:
    return canonical(
        ((TRANSITIVE, Code.ORIGIN, b"\0"), (0xC0, Code.COMMUNITIES, bytes(range(4)) * communities)),
    )


def test_short_attributes_are_parsed_once_and_long_ones_are_not_kept() -> None:
    for wire, kept in ((_wire(3), 1), (_wire(500), 0)):
        assert (len(wire) <= REMEMBERED) == bool(kept)
        before = [one.cache_info().currsize for one in (attributes._remembered, attributes._exported_before)]
        found = parsed(wire)
        assert exported(found, 65515) == exported(parsed(wire), 65515)
        after = [one.cache_info().currsize for one in (attributes._remembered, attributes._exported_before)]
        assert [now - then for now, then in zip(after, before, strict=True)] == [kept, kept]
