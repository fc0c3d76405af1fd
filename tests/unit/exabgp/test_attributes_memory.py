"""What is remembered of attributes is bounded in octets, whatever a peer sends."""

from hubgw.drivers.exabgp import attributes
from hubgw.drivers.exabgp.attributes import REMEMBERED, TRANSITIVE, Code, canonical, exported, parsed


def _wire(communities: int) -> bytes:
    return canonical(
        ((TRANSITIVE, Code.ORIGIN, b"\0"), (0xC0, Code.COMMUNITIES, bytes(range(4)) * communities)),
    )


def test_short_attributes_are_parsed_once_and_long_ones_are_not_kept() -> None:
    caches = (attributes._remembered, attributes._exported_before)
    for wire, kept in ((_wire(3), 1), (_wire(500), 0)):
        assert (len(wire) <= REMEMBERED) == bool(kept)
        for cache in caches:
            cache.cache_clear()
        assert exported(parsed(wire), 65515) == exported(parsed(wire), 65515)
        assert [cache.cache_info().currsize for cache in caches] == [kept, kept]
