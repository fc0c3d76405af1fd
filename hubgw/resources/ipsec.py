"""ipsecPolicies: the one suite that a connection offers and accepts, in Azure's words; check_ipsec says what fits.

The lists are those that Azure documents for Virtual WAN, and what its model has besides that a device may still need;
DES, MD5 and the DH group of 768 bits are broken, and in no list.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from hubgw.resources.base import Model

IkeEncryption = Literal["GCMAES256", "GCMAES128", "AES256", "AES192", "AES128", "DES3"]
IkeIntegrity = Literal["SHA384", "SHA256", "SHA1"]
DhGroup = Literal["ECP384", "ECP256", "DHGroup24", "DHGroup14", "DHGroup2048", "DHGroup2"]
IpsecEncryption = Literal["GCMAES256", "GCMAES192", "GCMAES128", "AES256", "AES192", "AES128", "DES3", "None"]
IpsecIntegrity = Literal["GCMAES256", "GCMAES192", "GCMAES128", "SHA256", "SHA1"]
PfsGroup = Literal["None", "ECP384", "ECP256", "PFS24", "PFS14", "PFS2048", "PFS2"]

LEGACY: Final = frozenset({"DES3", "SHA1", "DHGroup2", "PFS2"})
"""What is offered and accepted only where settings of the site, or of its link, say so."""

GCM: Final = "GCMAES"
"""What the names of algorithms begin with that encrypt and authenticate in one."""

DEFAULT_LIFE_TIME: Final = 3600  # seconds
DEFAULT_DATA_SIZE: Final = 102_400_000  # KiB


class IpsecPolicy(Model):
    """`sa_life_time_seconds` and `sa_data_size_kilobytes` (KiB) bound a child SA, whichever comes first."""

    sa_life_time_seconds: Annotated[int, Field(ge=300, le=172_799)] = DEFAULT_LIFE_TIME
    sa_data_size_kilobytes: Annotated[int, Field(ge=1024, le=2_147_483_647)] = DEFAULT_DATA_SIZE
    ipsec_encryption: IpsecEncryption
    ipsec_integrity: IpsecIntegrity
    ike_encryption: IkeEncryption
    ike_integrity: IkeIntegrity
    dh_group: DhGroup
    pfs_group: PfsGroup
