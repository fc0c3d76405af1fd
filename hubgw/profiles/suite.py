"""The suite of a profile -> charon's proposals, and another platform's names of its algorithms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

from hubgw.compile.suites import suites
from hubgw.profiles.types import Suite
from hubgw.resources.ipsec import IpsecPolicy
from hubgw.resources.problem import Finding, shown

_PATH: Final = ("vpnClientIpsecPolicies", 0)


@dataclass(frozen=True, slots=True)
class Proposals:
    """What IKE and ESP offer, in charon's tokens."""

    ike: str
    esp: str


def proposals(suite: Suite) -> Proposals:
    """Returns what the gateway accepts of this suite, made by what makes the gateway's own."""
    policy = IpsecPolicy(**{one.name: getattr(suite, one.name) for one in fields(suite)})
    chosen = suites(2, policy, legacy=False, initiates=True)
    return Proposals(chosen.ike[0], chosen.esp[0])


@dataclass(frozen=True, slots=True)
class Names:
    """A platform's name of each algorithm that it has, by Azure's."""

    platform: str
    ike_encryption: Mapping[str, str | int]
    ike_integrity: Mapping[str, str | int]
    dh_group: Mapping[str, str | int]
    ipsec_encryption: Mapping[str, str | int]
    ipsec_integrity: Mapping[str, str | int]
    pfs_group: Mapping[str, str | int]

    def check(self, suite: Suite) -> Iterator[Finding]:
        """Yields what of a suite the platform cannot do."""
        for one in fields(suite):
            known, value = getattr(self, one.name), getattr(suite, one.name)
            if value not in known:
                words = one.name.split("_")
                path = (*_PATH, words[0] + "".join(map(str.title, words[1:])))
                hint = f"it has {', '.join(known)}"
                yield Finding(path, f"{self.platform} cannot do this", shown(value), hint)
