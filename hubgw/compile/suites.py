"""Azure's names of algorithms, or none -> what IKE offers and accepts, in charon's tokens, and how long an SA lives."""

from dataclasses import dataclass
from typing import Final

from hubgw.resources.ipsec import DEFAULT_LIFE_TIME, GCM, IpsecPolicy

_Proposals = tuple[str, ...]

# A second key exchange (RFC 9370) that no quantum computer breaks; the driver leaves it out where charon lacks it.
_HYBRID: Final = "ke1_mlkem768"

_IKE: Final[_Proposals] = (
    f"aes256gcm16-prfsha384-ecp384-x25519-{_HYBRID}",
    "aes256gcm16-prfsha384-ecp384-x25519",
    # What a device offers whose operator was given a key and addresses and no ciphers.
    "aes256-sha256-modp2048",
)
# IKEv1 knows no combined modes in its first phase, and no PRF of its own. The last is strongSwan's one and only choice.
_IKE_V1: Final[_Proposals] = ("aes256-sha384-ecp384", "aes256-sha256-modp2048", "aes128-sha256-ecp256")
_IKE_LEGACY: Final[_Proposals] = (
    "aes256-sha1-modp1024",
    "aes128-sha1-modp1024",
    "aes256-sha256-modp1024",
    "aes128-sha256-modp1024",
)

# With and without PFS: what the peer has configured shows only at the first rekey, too late to say no. A device without
# a choice of its own takes the group of its IKE SA, so each of those is here; and strongSwan's own choice in IKEv1 has
# keys of 128 bits alone.
_PFS: Final = "ecp384-x25519-ecp256-modp2048"
_ESP: Final[_Proposals] = (
    f"aes256gcm16-{_PFS}",
    "aes256gcm16",
    f"aes256-sha256-{_PFS}",
    "aes256-sha256",
    f"aes128gcm16-{_PFS}",
    "aes128gcm16",
    f"aes128-sha256-{_PFS}",
    "aes128-sha256",
)
_ESP_LEGACY: Final[_Proposals] = (
    "aes256-sha1",
    "aes128-sha1",
    "aes256-sha1-modp1024",
    "aes256-sha1-modp2048",
    "aes128-sha1-modp1024",
    "aes128-sha1-modp2048",
)

_ENCRYPTION: Final = {
    "GCMAES256": "aes256gcm16",
    "GCMAES192": "aes192gcm16",
    "GCMAES128": "aes128gcm16",
    "AES256": "aes256",
    "AES192": "aes192",
    "AES128": "aes128",
    "DES3": "3des",
    "None": "null",
}
_INTEGRITY: Final = {"SHA384": "sha384", "SHA256": "sha256", "SHA1": "sha1"}
_GROUP: Final = {
    "ECP384": "ecp384",
    "ECP256": "ecp256",
    "DHGroup24": "modp2048s256",
    "PFS24": "modp2048s256",
    "DHGroup14": "modp2048",
    "DHGroup2048": "modp2048",
    "PFS14": "modp2048",
    "PFS2048": "modp2048",
    "DHGroup2": "modp1024",
    "PFS2": "modp1024",
}

# Whatever a client's own choice is: Windows and Apple's devices have one proposal, which a profile sets or the user has
# typed in; Android's and strongSwan's offer many. Each group is here, as Windows rekeys IKE with modp2048 at first.
_USERS: Final = "ecp384-x25519-ecp256-modp2048"
_IKE_USERS: Final[_Proposals] = (
    f"aes256gcm16-prfsha384-ecp384-x25519-{_HYBRID}",
    f"aes256gcm16-prfsha384-prfsha256-{_USERS}",
    f"aes256-sha384-sha256-{_USERS}",
    f"aes128gcm16-prfsha384-prfsha256-{_USERS}",
    f"aes128-sha384-sha256-{_USERS}",
)

_GROUPS: Final = ("modp", "ecp", "x25519")
"""What the tokens of DH groups begin with."""

_REKEY_MARGIN: Final = 120  # seconds
_LONGER_THAN_THE_BRANCH: Final = 28_800  # seconds
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Suites:
    """Proposals in order of preference. `life_time` (seconds) and `life_bytes` (0: any number) bound a child SA, and
    `rekey_time` is when the hub makes the next one, if the branch has not; 0 is never."""

    ike: tuple[str, ...]
    esp: tuple[str, ...]
    life_time: int
    life_bytes: int
    rekeys: bool = True

    @property
    def rekey_time(self) -> int:
        if not self.rekeys:
            return 0
        # The branch rekeys first: as responder charon installs its inbound SA before it answers, so nothing is lost,
        # while an initiating hub would lose what a peer sends on the new SA together with its answer.
        return self.life_time - min(_REKEY_MARGIN, self.life_time // 10)

    @property
    def rekey_bytes(self) -> int:
        return self.life_bytes - self.life_bytes // 20


def suites(version: int, policy: IpsecPolicy | None, *, legacy: bool, initiates: bool) -> Suites:
    """Returns a policy's suite alone, or hubgw's own choice, and after it what is legacy where that is allowed.

    An IKEv1 quick mode that charon starts has PFS if any proposal has, and then none without. So where the hub starts
    there is none with PFS. Where it only answers there are both, and the hub makes no next child SA, which a branch
    without PFS would refuse: that is the branch's, before the hub's own bound.
    """
    if policy is not None:
        size = policy.sa_data_size_kilobytes * _KIB
        return Suites((_ike(version, policy),), (_esp(policy),), policy.sa_life_time_seconds, size)
    more_ike, more_esp = (_IKE_LEGACY, _ESP_LEGACY) if legacy else ((), ())
    ike = (*(_IKE if version == 2 else _IKE_V1), *more_ike)
    esp = (*_ESP, *more_esp)
    if version == 2:
        esp = (f"aes256gcm16-{_PFS}-{_HYBRID}", *esp)
    elif initiates:
        esp = tuple(one for one in esp if not one.rpartition("-")[2].startswith(_GROUPS))
    else:
        return Suites(ike, esp, _LONGER_THAN_THE_BRANCH, 0, rekeys=False)
    return Suites(ike, esp, DEFAULT_LIFE_TIME, 0)


def suites_of_users(policy: IpsecPolicy | None) -> Suites:
    """Returns a policy's suite alone, or all that users' clients may have of their own accord, with PFS and without.

    The hub rekeys nothing: Windows behind a NAT refuses a rekey of the hub's. A policy's bounds of a child SA hold all
    the same, and are the client's to forestall.
    """
    if policy is not None:
        size = policy.sa_data_size_kilobytes * _KIB
        return Suites((_ike(2, policy),), (_esp(policy),), policy.sa_life_time_seconds, size, rekeys=False)
    return Suites(_IKE_USERS, (f"aes256gcm16-{_PFS}-{_HYBRID}", *_ESP), _LONGER_THAN_THE_BRANCH, 0, rekeys=False)


def _ike(version: int, policy: IpsecPolicy) -> str:
    integrity = _INTEGRITY[policy.ike_integrity]
    combined = policy.ike_encryption.startswith(GCM)
    # With a combined mode the integrity algorithm has one use left: the pseudo-random function.
    return "-".join(
        (
            _ENCRYPTION[policy.ike_encryption],
            f"prf{integrity}" if combined and version == 2 else integrity,
            _GROUP[policy.dh_group],
        )
    )


def _esp(policy: IpsecPolicy) -> str:
    parts = [_ENCRYPTION[policy.ipsec_encryption]]
    if not policy.ipsec_integrity.startswith(GCM):
        parts.append(_INTEGRITY[policy.ipsec_integrity])
    if policy.pfs_group != "None":
        parts.append(_GROUP[policy.pfs_group])
    return "-".join(parts)
