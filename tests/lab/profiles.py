"""A rendered profile, parsed -> a strongSwan that speaks IKE as the platform would which imports it.

It offers what the platform offers, names itself and the gateway as it does, and rekeys when it does.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from hubgw.profiles.strongswan import quoted
from hubgw.profiles.types import Platform
from tests.lab.charon import Charon
from tests.lab.hub import Hub
from tests.lab.platforms import READERS, Speaker, Typed, files_of
from tests.lab.users import CLIENT_SETTINGS
from tests.lab.users import Client as Machine
from tests.settings_language import parse


@dataclass(frozen=True, slots=True)
class Client:
    """A folder of swanctl.conf and what it names, and what charon's own strongswan.conf has to say. The child's name is
    `child`; `routes` are what the platform sends into the tunnel, whatever the selectors are."""

    conf: str
    files: Mapping[str, bytes] = field(repr=False)
    routes: tuple[str, ...] = ()
    child: str = "profile"
    settings: str = ""


def written(hub: Hub, user: str, platform: Platform, folder: Path) -> tuple[bytes, str]:
    """Returns what `hubgw profile` writes, and the password of the key in it."""
    path = folder / platform
    told = json.loads(hub.run("profile", user, "--platform", platform, "-o", str(path), "--json").stdout)
    return path.read_bytes(), told.get("password", "")


def install(machine: Machine, made: Client) -> Charon:
    """Gives a user's machine a charon with what the profile says and nothing else."""
    if "charon" in machine.node.processes:
        machine.charon.kill()
    machine.node.ip("addr flush to 10.99.0.0/16 dev eth0")
    charon = machine.charon = Charon(machine.node, settings=f"{CLIENT_SETTINGS}\n  {made.settings}")
    charon.start()
    folder = machine.folder / "swanctl"
    for name, content in made.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "swanctl.conf").write_text(made.conf)
    environment = ("env", f"SWANCTL_DIR={folder}")
    words = ("--load-all", "--clear", "--file", str(folder / "swanctl.conf"), "--uri", f"unix://{charon.vici}")
    machine.node.run(*environment, "swanctl", *words)
    return charon


def client(platform: Platform, content: bytes, typed: Typed, *, hurry: int = 1, rekeying: bool = False) -> Client:
    """Returns the client of a profile's file; what it does by time it does `hurry` times as fast.

    `rekeying` makes a Windows begin with the group that it begins with when it rekeys its IKE SA, 2048 bits, which the
    gateway has to refuse by INVALID_KE_PAYLOAD: strongSwan begins with one group alike whenever it begins.
    """
    if platform == "linux":
        return _linux(content, typed)
    speaker, routes = READERS[platform](content, typed)
    settings = ""
    if rekeying:
        assert platform == "windows"
        head, _, group = speaker.ike.rpartition("-")
        speaker = replace(speaker, ike=f"{head}-modp2048-{group}")
        settings = "prefer_previous_dh_group = no"
    files = {f"x509ca/{index}.der": one for index, one in enumerate(speaker.authorities)}
    if speaker.own:
        files |= {"x509/own.der": speaker.own[0], "private/own.der": speaker.own[1]}
    return Client(_conf(speaker, typed, hurry), files, routes, settings=settings)


def _conf(speaker: Speaker, typed: Typed, hurry: int) -> str:
    said = {
        "auth": speaker.auth,
        "certs": "own.der" if speaker.own else "",
        "id": speaker.identity,
        "eap_id": speaker.eap_identity,
        "aaa_id": speaker.aaa_identity,
    }
    authorities = ", ".join(f"{index}.der" for index in range(len(speaker.authorities)))
    child = {
        "local_ts": speaker.local_ts,
        "remote_ts": speaker.remote_ts,
        "esp_proposals": speaker.esp,
        "rekey_time": f"{speaker.child_rekey // hurry}s",
        "life_time": f"{speaker.child_life // hurry}s",
        "rand_time": "0s",
        "rekey_bytes": str(speaker.child_rekey_bytes // hurry),
    }
    connection: dict[str, Any] = {
        "version": "2",
        "remote_addrs": speaker.server,
        "vips": speaker.vips,
        "proposals": speaker.ike,
        "encap": "yes" if speaker.encap else "no",
        "rekey_time": f"{speaker.ike_rekey // hurry}s",
        "rand_time": "0s",
        "dpd_delay": f"{speaker.dpd // hurry}s",
        "local": {key: value for key, value in said.items() if value},
        "remote": {"auth": "pubkey", "id": speaker.remote_identity, "cacerts": authorities},
        "children": {"profile": child},
    }
    secrets = {"eap-profile": {"id": speaker.eap_identity, "secret": typed.password}} if typed.password else {}
    return "".join(_text({"connections": {"profile": connection}, "secrets": secrets}, ""))


def _text(section: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield f"{indent}{key} {{\n"
            yield from _text(value, indent + "  ")
            yield f"{indent}}}\n"
        else:
            yield f"{indent}{key} = {quoted(value)}\n"


def _linux(content: bytes, typed: Typed) -> Client:
    """Returns the tar as it is, and what its script writes."""
    files = {name: one for name, (one, _) in files_of(content).items()}
    (path,) = (name for name in files if PurePosixPath(name).suffix == ".conf")
    text = files.pop(path).decode()
    ((name, connection),) = parse(text)["connections"].items()
    secrets: dict[str, Any] = {}
    if typed.password:
        secrets[f"eap-{name}"] = {"id": connection["local"]["eap_id"], "secret": typed.password}
    if typed.key_password:
        secrets[f"private-{name}"] = {"file": connection["local"]["certs"], "secret": typed.key_password}
    routes = tuple(connection["children"][name]["remote_ts"].split(", "))
    return Client(text + "".join(_text({"secrets": secrets}, "")), files, routes, child=name)
