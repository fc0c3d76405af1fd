"""A tunnel's ends -> its IKE connection and secret: the suites, the timers, the identities."""

from hubgw.compile.credentials import Proof
from hubgw.compile.digest import keyed_digest
from hubgw.compile.suites import Suites
from hubgw.names import Secret
from hubgw.plan.ipsec import IkeConnection, IkeSecret
from hubgw.plan.types import TunnelOf
from hubgw.resources.connection import Terms

RETRANSMISSION = 15
"""Seconds after which an unanswered message is given up, with the retransmission settings of packaging/charon.conf."""

DEFAULT_DPD_TIMEOUT = 45  # seconds, Azure's default of dpdTimeoutSeconds
MAX_DPD_DELAY = 10  # seconds

IKE_REKEY_TIME = 28_800 - 1_800


def compile_ike(
    tunnel: TunnelOf,
    terms: Terms,
    suites: Suites,
    *,
    local_id: str,
    remote_id: str,
    proof: Proof | None,
    mobike: bool,
) -> IkeConnection:
    """Returns a tunnel's connection; without a proof by certificates it is by preshared key.

    IKEv2 has no dpd_timeout: a dead peer is found after the delay plus the retransmissions, so the delay is derived.
    """
    timeout = DEFAULT_DPD_TIMEOUT if terms.dpd_timeout_seconds is None else terms.dpd_timeout_seconds
    return IkeConnection(
        name=tunnel.name,
        if_id=tunnel.nexthop,
        local_address=tunnel.local_address,
        remote_address=tunnel.remote_address,
        local_id=local_id,
        remote_id=remote_id,
        proposals=suites.ike,
        esp_proposals=suites.esp,
        dpd_delay=max(1, min(MAX_DPD_DELAY, timeout - RETRANSMISSION)),
        rekey_time=IKE_REKEY_TIME,
        child_rekey_time=suites.rekey_time,
        child_life_time=suites.life_time,
        child_life_bytes=suites.life_bytes,
        child_rekey_bytes=suites.rekey_bytes,
        version=terms.version,
        dpd_timeout=timeout if terms.version == 1 else 0,
        selectors=tunnel.selectors,
        certificate=proof.certificate if proof else "",
        authorities=proof.authorities if proof else (),
        mobike=mobike,
    )


def compile_secret(name: str, remote_id: str, secret: Secret, secret_key: bytes) -> IkeSecret:
    """Returns a tunnel's preshared key, owned by the branch's identity alone.

    charon takes a key that is owned by either end, and tries all of them: with the hub's address among the owners, any
    branch could be any other with its own key.

    The id carries a keyed digest, so that a changed key is a changed id, and the id tells nothing of the key.
    """
    return IkeSecret(f"{name}-{keyed_digest(secret_key, remote_id, secret)}", (remote_id,), secret)
