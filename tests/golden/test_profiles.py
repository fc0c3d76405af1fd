"""The profile of a user of EAP, as each platform has it, is exactly what is written here.

HUBGW_GOLDEN=write writes what is rendered now; read the difference before you commit it.
"""

import io
import os
import zipfile
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from hubgw.profiles.render import PLATFORMS, render
from hubgw.profiles.types import Platform, Profile
from tests.lab.platforms import files_of

FOLDER = Path(__file__).parent / "profiles"
# In the clear to a reader: what is archived is written as its files, one after the other.
ARCHIVED = {".tar", ".zip"}


def rendered(platform: Platform) -> tuple[str, bytes]:
    profile = Profile(
        name="hub1",
        server="vpn.example.com",
        authorities=((FOLDER / "root.pem").read_text(),),
        user="alice@example.com",
        authentication="EapMsChapV2",
        routes=(IPv4Network("10.50.0.0/24"), IPv4Network("172.16.0.0/12")),
        dns_servers=(IPv4Address("10.50.0.53"),),
    )
    one = render(platform, profile)
    if one.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(one.content)) as archive:
            return one.suffix, archive.read("Generic/VpnSettings.xml")
    if one.suffix == ".tar":
        parts = (f"==> {name} {mode:o}\n".encode() + content for name, (content, mode) in files_of(one.content).items())
        return one.suffix, b"".join(parts)
    return one.suffix, one.content


@pytest.mark.parametrize("platform", PLATFORMS)
def test_profile(platform: Platform) -> None:
    suffix, content = rendered(platform)
    expected = FOLDER / f"{platform}{'.txt' if suffix in ARCHIVED else suffix}"
    if os.environ.get("HUBGW_GOLDEN") == "write":
        expected.write_bytes(content)
    assert content == expected.read_bytes()
