"""Resource ids: what is written, what is understood, what it is known by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubgw.names import NAME
from hubgw.resources.ids import DEFAULT_SCOPE, TYPES, ResourceId, canonical_type, singular

names = st.from_regex(NAME, fullmatch=True)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("virtualWans", "virtualWans"),
        ("VIRTUALWANS", "virtualWans"),
        ("Microsoft.Network/virtualWans", "virtualWans"),
        ("microsoft.network/vpngateways/VPNconnections", "vpnGateways/vpnConnections"),
        ("vpnConnections", "vpnGateways/vpnConnections"),
        ("hubVirtualNetworkConnections", "virtualHubs/hubVirtualNetworkConnections"),
        ("nodes", "nodes"),
        ("Hubgw.Network/settings", "settings"),
        ("Hubgw.Network/virtualWans", None),
        ("Microsoft.Network/nodes", None),
        ("virtualHubs/vpnConnections", None),
        ("vpnSites/vpnSiteLinks", None),
        ("", None),
    ],
)
def test_canonical_type(written: str, canonical: str | None) -> None:
    assert canonical_type(written) == canonical


def test_an_id_without_subscription_and_group_gets_the_default_ones() -> None:
    assert str(DEFAULT_SCOPE.beside("vpnGateways/vpnConnections", "Gw1/c1")) == (
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/hubgw"
        "/providers/Microsoft.Network/vpnGateways/Gw1/vpnConnections/c1"
    )
    assert "/providers/Hubgw.Network/nodes/n1" in str(DEFAULT_SCOPE.beside("nodes", "n1"))


def test_keywords_and_types_may_be_in_any_case_and_names_keep_theirs() -> None:
    written = "/Subscriptions/S-1/resourcegroups/Rg(1)/PROVIDERS/microsoft.network/vpngateways/GW1/VPNCONNECTIONS/C1"
    parsed = ResourceId.parse(written)
    assert parsed == ResourceId("vpnGateways/vpnConnections", ("GW1", "C1"), "S-1", "Rg(1)")
    assert parsed.key == str(parsed).lower()
    assert parsed.parent == ResourceId("vpnGateways", ("GW1",), "S-1", "Rg(1)")


@given(type_=st.sampled_from(TYPES), parts=st.lists(names, min_size=2, max_size=2), rest=st.tuples(names, names))
def test_an_id_is_parsed_into_what_made_it(type_: str, parts: list[str], rest: tuple[str, str]) -> None:
    made = ResourceId(
        type_, tuple(parts[: type_.count("/") + 1]), rest[0].replace("_", "-").replace(".", "-")[:64], rest[1]
    )
    assert ResourceId.parse(str(made)) == made


@pytest.mark.parametrize(
    "text",
    [
        "/",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualWans",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualWans/w/",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualWans/a b",
        "/subscriptions/s/resourceGroups/g/providers/Hubgw.Network/virtualWans/w",
        "/subscriptions/s/resourceGroups/../providers/Microsoft.Network/virtualWans/w",
        "/subscriptions//resourceGroups/g/providers/Microsoft.Network/virtualWans/w",
        "//subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualWans/w",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|has 1 to|does not know"):
        ResourceId.parse(text)


def test_words_for_one_resource() -> None:
    words = {singular(type_) for type_ in TYPES}
    assert words == {
        "virtualWan",
        "virtualHub",
        "hubVirtualNetworkConnection",
        "vpnGateway",
        "p2sVpnGateway",
        "vpnServerConfiguration",
        "vpnConnection",
        "virtualNetwork",
        "vpnSite",
        "natRule",
        "node",
        "settings",
        "vpnUser",
    }
