"""A tunnel's ends -> its IKE connection and secret: the suites, the timers, the identities."""

from hubgw.compile.digest import keyed_digest
from hubgw.names import Secret
from hubgw.plan.types import IkeConnection, IkeSecret, TunnelOf

PROPOSALS = (
    "aes256gcm16-prfsha384-ecp384-x25519",
    # What a device offers whose operator was given a key and addresses and no ciphers.
    "aes256-sha256-modp2048",
)

ESP_PROPOSALS = (
    # With and without PFS: what the peer has configured shows only at the first rekey, too late to say no.
    "aes256gcm16-ecp384-x25519",
    "aes256gcm16",
    "aes256-sha256-modp2048",
    "aes256-sha256",
)

RETRANSMISSION = 15
"""Seconds after which an unanswered message is given up, with the retransmission settings of packaging/charon.conf."""

DEFAULT_DPD_TIMEOUT = 45  # seconds, Azure's default of dpdTimeoutSeconds
MAX_DPD_DELAY = 10  # seconds

IKE_REKEY_TIME = 28_800 - 1_800
# The branch rekeys first: as responder charon installs its inbound SA before it answers, so nothing is lost, while an
# initiating hub would lose what a peer sends on the new SA together with its answer.
CHILD_REKEY_TIME = 3_480
CHILD_LIFE_TIME = 3_600


def compile_ike(tunnel: TunnelOf, local_id: str, remote_id: str, dpd_timeout: int | None) -> IkeConnection:
    """Returns a tunnel's connection. `dpd_timeout`: seconds within which a dead branch is found, None for the default.

    IKEv2 has no dpd_timeout: a dead peer is found after the delay plus the retransmissions, so the delay is derived.
    """
    timeout = DEFAULT_DPD_TIMEOUT if dpd_timeout is None else dpd_timeout
    return IkeConnection(
        name=tunnel.name,
        if_id=tunnel.nexthop,
        local_address=tunnel.local_address,
        remote_address=tunnel.remote_address,
        local_id=local_id,
        remote_id=remote_id,
        proposals=PROPOSALS,
        esp_proposals=ESP_PROPOSALS,
        dpd_delay=max(1, min(MAX_DPD_DELAY, timeout - RETRANSMISSION)),
        rekey_time=IKE_REKEY_TIME,
        child_rekey_time=CHILD_REKEY_TIME,
        child_life_time=CHILD_LIFE_TIME,
    )


def compile_secret(name: str, remote_id: str, secret: Secret, secret_key: bytes) -> IkeSecret:
    """Returns a tunnel's preshared key, owned by the branch's identity alone.

    charon takes a key that is owned by either end, and tries all of them: with the hub's address among the owners, any
    branch could be any other with its own key.

    The id carries a keyed digest, so that a changed key is a changed id, and the id tells nothing of the key.
    """
    return IkeSecret(f"{name}-{keyed_digest(secret_key, remote_id, secret)}", (remote_id,), secret)
