"""Tunnels, BGP sessions, certificates, users -> what Prometheus reads, named as Azure names it of gateways. Pure."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from hubgw.agent.references import name_of
from hubgw.agent.statuses import (
    BgpPeerStatus,
    CertificateStatus,
    Connection,
    TunnelStatus,
    UserGateway,
    Validity,
)

_TUNNEL = ("connection", "link", "instance")
_PEER = ("connection", "peer", "instance")
_CERTIFICATE = ("kind", "name", "subject", "serial")
_USERS = ("gateway", "instance")


def exposition(
    tunnels: Iterable[TunnelStatus],
    peers: Iterable[BgpPeerStatus],
    certificates: Iterable[CertificateStatus],
    gateways: Iterable[UserGateway] = (),
) -> bytes:
    """Returns all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    metrics = [*_tunnels(list(tunnels)), *_peers(list(peers)), _expiry(certificates), *_users(list(gateways))]
    registry.register(_Collected(metrics))
    return generate_latest(registry)


class _Collected:
    """What a registry collects: metrics that are made already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _tunnels(tunnels: list[TunnelStatus]) -> Iterable[Metric]:
    up = GaugeMetricFamily("hubgw_tunnel_up", "Whether the tunnel carries traffic", labels=_TUNNEL)
    counters = {
        "ingress_bytes": CounterMetricFamily("hubgw_tunnel_ingress_bytes", "Octets from the branch", labels=_TUNNEL),
        "egress_bytes": CounterMetricFamily("hubgw_tunnel_egress_bytes", "Octets to the branch", labels=_TUNNEL),
        "ingress_packets": CounterMetricFamily(
            "hubgw_tunnel_ingress_packets", "Packets from the branch", labels=_TUNNEL
        ),
        "egress_packets": CounterMetricFamily("hubgw_tunnel_egress_packets", "Packets to the branch", labels=_TUNNEL),
        "spoofed_packets": CounterMetricFamily(
            "hubgw_tunnel_spoofed_packets", "Packets dropped for a source that the site may not use", labels=_TUNNEL
        ),
        "replayed_packets": CounterMetricFamily(
            "hubgw_tunnel_replayed_packets",
            "Packets that came before or too late, since the last rekey",
            labels=_TUNNEL,
        ),
        "integrity_failed_packets": CounterMetricFamily(
            "hubgw_tunnel_integrity_failed_packets", "Packets changed on the way, since the last rekey", labels=_TUNNEL
        ),
    }
    for tunnel in tunnels:
        labels = (name_of(tunnel.connection), tunnel.link, str(tunnel.instance))
        up.add_metric(labels, tunnel.state is Connection.CONNECTED)
        for name, value in (
            ("ingress_bytes", tunnel.bytes_in),
            ("egress_bytes", tunnel.bytes_out),
            ("ingress_packets", tunnel.packets_in),
            ("egress_packets", tunnel.packets_out),
            ("spoofed_packets", tunnel.spoofed),
            ("replayed_packets", tunnel.replayed),
            ("integrity_failed_packets", tunnel.integrity_failed),
        ):
            counters[name].add_metric(labels, value)
    return [up, *counters.values()]


def _peers(peers: list[BgpPeerStatus]) -> Iterable[Metric]:
    status = GaugeMetricFamily("hubgw_bgp_peer_status", "Whether the session is established", labels=_PEER)
    gauges = {
        "routes_learned": GaugeMetricFamily("hubgw_bgp_routes_learned", "Prefixes from the peer", labels=_PEER),
        "routes_refused": GaugeMetricFamily(
            "hubgw_bgp_routes_refused", "Prefixes from the peer that policy does not take", labels=_PEER
        ),
        "routes_advertised": GaugeMetricFamily("hubgw_bgp_routes_advertised", "Prefixes told the peer", labels=_PEER),
    }
    counters = {
        "updates_received": CounterMetricFamily("hubgw_bgp_updates_received", "UPDATEs from the peer", labels=_PEER),
        "updates_sent": CounterMetricFamily("hubgw_bgp_updates_sent", "UPDATEs to the peer", labels=_PEER),
        "updates_malformed": CounterMetricFamily(
            "hubgw_bgp_updates_malformed", "UPDATEs treated as RFC 7606 says", labels=_PEER
        ),
    }
    for peer in peers:
        labels = (name_of(peer.connection), peer.address, str(peer.instance))
        status.add_metric(labels, peer.state == "Established")
        for name, value in (
            ("routes_learned", peer.learned),
            ("routes_refused", peer.refused),
            ("routes_advertised", peer.advertised),
        ):
            gauges[name].add_metric(labels, value)
        for name, value in (
            ("updates_received", peer.updates_in),
            ("updates_sent", peer.updates_out),
            ("updates_malformed", peer.treated_as_withdraw + peer.discarded),
        ):
            counters[name].add_metric(labels, value)
    return [status, *gauges.values(), *counters.values()]


def _expiry(certificates: Iterable[CertificateStatus]) -> Metric:
    """Of what is revoked or replaced nobody has to be warned."""
    expiry = GaugeMetricFamily(
        "hubgw_certificate_expiry_seconds",
        "Epoch seconds at which the certificate ends, or the revocation list is due for its next update",
        labels=_CERTIFICATE,
    )
    ends = {
        (one.kind, one.name, one.subject, one.serial): one.until
        for one in certificates
        if one.until is not None and one.state not in {Validity.REVOKED, Validity.REPLACED}
    }
    for labels, until in ends.items():
        expiry.add_metric(labels, until)
    return expiry


def _users(gateways: list[UserGateway]) -> Iterable[Metric]:
    gauges = {
        "connection_count": GaugeMetricFamily("hubgw_p2s_connection_count", "Users' clients signed on", labels=_USERS),
        "addresses": GaugeMetricFamily("hubgw_p2s_addresses", "Addresses that clients can be given", labels=_USERS),
        "addresses_used": GaugeMetricFamily(
            "hubgw_p2s_addresses_used", "Addresses that clients have now", labels=_USERS
        ),
        "pool_exhausted": GaugeMetricFamily(
            "hubgw_p2s_pool_exhausted", "Whether a pool has no address left", labels=_USERS
        ),
    }
    counters = {
        "ingress_bytes": CounterMetricFamily("hubgw_p2s_ingress_bytes", "Octets from users' clients", labels=_USERS),
        "egress_bytes": CounterMetricFamily("hubgw_p2s_egress_bytes", "Octets to users' clients", labels=_USERS),
    }
    for one in gateways:
        labels = (name_of(one.gateway), str(one.instance))
        gauges["connection_count"].add_metric(labels, one.sessions)
        gauges["addresses"].add_metric(labels, one.addresses)
        gauges["addresses_used"].add_metric(labels, one.addresses_used)
        gauges["pool_exhausted"].add_metric(labels, one.exhausted)
        counters["ingress_bytes"].add_metric(labels, one.bytes_in)
        counters["egress_bytes"].add_metric(labels, one.bytes_out)
    return [*gauges.values(), *counters.values()]
