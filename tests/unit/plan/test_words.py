"""What no golden plan says."""

from hubgw.names import Secret
from hubgw.plan.ipsec import IkeSecret
from hubgw.plan.types import Create, Delete
from hubgw.plan.words import describe


def test_a_key_without_known_owners_is_told_by_its_id() -> None:
    owned = IkeSecret("hgt1-00ff", ("192.0.2.2",), Secret("k" * 16))
    assert describe(Create(owned)) == "preshared key hgt1-00ff of 192.0.2.2: add"
    assert describe(Delete(IkeSecret("hgt1-00ff", (), Secret("")))) == "preshared key hgt1-00ff: remove"
