"""Who the peers of a connection are: links and sites, settings of either, and the gateway's custom addresses."""

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubgw.names import Secret
from hubgw.resources.bgp import BgpPeer, bgp_peers, custom_bgp_address, custom_bgp_addresses
from hubgw.resources.connection import VpnConnection, VpnGateway
from hubgw.resources.inventory import Inventory
from hubgw.resources.parse import parse

OWN = {"asn": 65020, "bgpPeeringAddress": "10.2.0.1"}
OTHER = {"asn": 65020, "bgpPeeringAddress": "10.2.0.2"}
SITES = {"asn": 65010, "bgpPeeringAddress": "10.1.0.1"}


def _inventory(*written: tuple[str, str, dict[str, Any]]) -> Inventory:
    resources = []
    for type_, name, properties in written:
        parsed = parse({"type": type_, "name": name, "properties": properties})
        assert parsed.resource is not None, parsed.findings
        resources.append(parsed.resource)
    return Inventory.of(resources)


def _site(links: list[dict[str, Any] | None], bgp: dict[str, Any] | None = None) -> tuple[str, str, dict[str, Any]]:
    written = [
        {"name": f"l{index}", "properties": {"ipAddress": f"192.0.2.{index + 1}", "bgpProperties": own}}
        for index, own in enumerate(links)
    ]
    return "vpnSites", "b", {"virtualWan": "w", "bgpProperties": bgp, "vpnSiteLinks": written}


def _connection(links: dict[str, Any] | None = None, **properties: Any) -> tuple[str, str, dict[str, Any]]:
    """A connection with a link connection, of these properties, for each name."""
    written = [{"name": name, "properties": {"vpnSiteLink": name, **one}} for name, one in (links or {}).items()]
    return "vpnConnections", "gw/b", {"remoteVpnSite": "b", "vpnLinkConnections": written, **properties}


def _settings(of: str, **properties: Any) -> tuple[str, str, dict[str, Any]]:
    return "settings", of.replace("/", "-"), {"resource": of, **properties}


def _peers(*written: tuple[str, str, dict[str, Any]]) -> tuple[BgpPeer, ...]:
    inventory = _inventory(*written)
    return bgp_peers(inventory, inventory.connections[0])


def _names(*written: tuple[str, str, dict[str, Any]]) -> list[tuple[str, str]]:
    return [(str(peer.address), " ".join(link.name for link in peer.links)) for peer in _peers(*written)]


def test_a_site_has_one_peer_over_all_its_links() -> None:
    assert _names(_site([None, None], SITES), _connection(enableBgp=True)) == [("10.1.0.1", "l0 l1")]


def test_a_link_with_properties_is_a_peer_of_its_own_and_the_others_are_ways_to_the_sites() -> None:
    peers = _names(_site([None, OWN, None, OTHER], SITES), _connection(enableBgp=True))
    assert peers == [("10.1.0.1", "l0 l2"), ("10.2.0.1", "l1"), ("10.2.0.2", "l3")]


def test_a_site_of_the_old_form_has_one_peer() -> None:
    site = ("vpnSites", "b", {"virtualWan": "w", "ipAddress": "192.0.2.1", "bgpProperties": SITES})
    assert _names(site, _connection(enableBgp=True)) == [("10.1.0.1", "b")]


@pytest.mark.parametrize("connection", [None, False, True])
@pytest.mark.parametrize("link", [None, False, True])
def test_a_link_connection_that_says_nothing_follows_its_connection(connection: bool | None, link: bool | None) -> None:
    written = _connection({"l0": {"enableBgp": link}}, enableBgp=connection)
    wanted = connection if link is None else link
    assert _names(_site([OWN, OTHER]), written) == ([("10.2.0.1", "l0")] if wanted else [])


def test_a_link_that_is_not_connected_is_no_way_to_the_sites_peer() -> None:
    written = _connection({"l2": {}, "l0": {}}, enableBgp=True)
    assert _names(_site([None, None, None], SITES), written) == [("10.1.0.1", "l0 l2")]


def test_without_bgp_or_properties_or_site_there_is_no_peer() -> None:
    assert _names(_site([OWN], SITES), _connection()) == []
    assert _names(_site([None]), _connection(enableBgp=True)) == []
    assert _names(_connection(enableBgp=True)) == []


def test_without_settings_a_peer_has_the_defaults_of_azure() -> None:
    (peer,) = _peers(_site([OWN]), _connection(enableBgp=True))
    assert (peer.asn, peer.hold_time, peer.maximum_prefixes) == (65020, 180, 4000)
    assert (peer.passive, peer.ttl_security, peer.password) == (False, False, None)


def test_settings_of_a_link_come_before_those_of_its_site_field_by_field() -> None:
    own, other, shared = _peers(
        _site([OWN, OTHER, None], SITES),
        _connection(enableBgp=True),
        _settings("vpnSites/b/vpnSiteLinks/l0", bgpHoldTime=9, bgpPassive=False, bgpPassword="link"),
        _settings("b", bgpHoldTime=30, bgpPassive=True, bgpTtlSecurity=True, bgpPassword="site", maximumPrefixes=7),
    )
    assert (own.hold_time, own.passive, own.ttl_security, own.maximum_prefixes) == (9, False, True, 7)
    assert own.password == Secret("link")
    for peer in (other, shared):
        assert (peer.hold_time, peer.passive, peer.ttl_security, peer.maximum_prefixes) == (30, True, True, 7)
        assert peer.password == Secret("site")


def _gateway(*customs: list[str]) -> tuple[str, str, dict[str, Any]]:
    written = [
        {"ipconfigurationId": f"Instance{index}", "customBgpIpAddresses": own} for index, own in enumerate(customs)
    ]
    return "vpnGateways", "gw", {"virtualHub": "h", "bgpSettings": {"bgpPeeringAddresses": written}}


def _custom(gateway: tuple[str, str, dict[str, Any]], peer: str, chosen: list[Any] | None = None) -> list[str | None]:
    link = {"enableBgp": True, "vpnGatewayCustomBgpAddresses": chosen}
    site = _site([{"asn": 65010, "bgpPeeringAddress": peer}])
    inventory = _inventory(gateway, site, _connection({"l0": link}))
    (connection,) = inventory.connections
    assert isinstance(connection, VpnConnection)
    (one,) = bgp_peers(inventory, connection)
    found = [custom_bgp_address(inventory, connection, one, instance) for instance in (0, 1)]
    return [str(address) if address else None for address in found]


GATEWAY = _gateway(["169.254.21.1", "169.254.22.1"], ["169.254.21.5", "169.254.22.5", "169.254.21.9"])


def test_a_peer_elsewhere_has_the_default_address() -> None:
    assert _custom(GATEWAY, "10.1.0.1") == [None, None]


def test_a_custom_address_is_the_nearest_to_the_peers_and_then_the_first() -> None:
    assert _custom(GATEWAY, "169.254.21.2") == ["169.254.21.1", "169.254.21.5"]
    assert _custom(GATEWAY, "169.254.22.6") == ["169.254.22.1", "169.254.22.5"]
    assert _custom(GATEWAY, "169.254.21.10") == ["169.254.21.1", "169.254.21.9"]
    assert _custom(GATEWAY, "169.254.200.1") == ["169.254.21.1", "169.254.21.5"]


def test_a_link_connection_chooses() -> None:
    chosen = [{"ipConfigurationId": "Instance1", "customBgpIpAddress": "169.254.22.5"}]
    assert _custom(GATEWAY, "169.254.21.2", chosen) == ["169.254.21.1", "169.254.22.5"]


def test_a_gateway_without_custom_addresses_has_none_to_give() -> None:
    assert _custom(_gateway([]), "169.254.21.2") == [None, None]
    assert _custom(("vpnGateways", "gw", {"virtualHub": "h"}), "169.254.21.2") == [None, None]


@given(st.lists(st.integers(0, 511), min_size=1, max_size=5), st.integers(0, 65535))
def test_the_custom_address_is_one_of_the_instances(lasts: list[int], peer: int) -> None:
    customs = [str(IPv4Address("169.254.21.0") + last) for last in lasts]
    gateway = _inventory(_gateway(customs)).gateways[0]
    assert isinstance(gateway, VpnGateway)
    assert [str(address) for address in custom_bgp_addresses(gateway, 0)] == customs
    assert custom_bgp_addresses(gateway, 1) == ()
    chosen, none = _custom(_gateway(customs), str(IPv4Address("169.254.0.0") + peer))
    assert chosen in customs
    assert none is None
