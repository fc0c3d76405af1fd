"""Turns Dockerfiles into an ext4 disk with Docker's data, images built: a drive of the VM, kept by content."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tools import cache, packages, rootfs
from tools.progress import phase, run

RECIPE = "1"
SIZE = "8G"
BASE_IMAGE = "debian:trixie-slim"
# The image's name, and its Dockerfile.
IMAGES = {"hubgw:latest": "Dockerfile", "hubgw-node:latest": "containerlab/images/node/Dockerfile"}
# What the Dockerfiles read. The source comes last in them, so that a change of it costs the last layer.
INPUTS = (
    "Dockerfile",
    ".dockerignore",
    "pyproject.toml",
    "requirements.lock",
    "packaging",
    "containerlab/images",
    "config-templates",
    "hubgw",
)


def content(names: Iterable[str]) -> list[bytes]:
    """Name, mode and bytes of each file of the working tree below `names`."""
    found: list[bytes] = []
    for name in names:
        top = packages.REPO / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                mode = oct(path.stat().st_mode & 0o111)
                found += [str(path.relative_to(packages.REPO)).encode(), mode.encode(), path.read_bytes()]
    return found


def base(in_use: Iterable[Path]) -> Path:
    """A minbase tree that stands in for the registry's image, with the site's certificate authorities."""

    def make(partial: Path) -> None:
        rootfs.mmdebstrap(f"the tree of {BASE_IMAGE}", partial, ["ca-certificates"], cache.home() / "base.log")

    key = cache.key([rootfs.RECIPE, rootfs.SUITE, *rootfs.local_cas().values()])
    return cache.entry("base", key, make, in_use)


def disk(in_use: Iterable[Path] = ()) -> Path:
    """The disk with all images. Cold, the newest older disk is copied and its layers are reused."""
    tree = rootfs.root(in_use)
    under = base(in_use)
    key = cache.key([RECIPE, under.name, json.dumps(IMAGES), *content(INPUTS)])

    def make(partial: Path) -> None:
        image = partial / "docker.img"
        older = previous(under)
        if older:
            with phase("a copy of the images built last"):
                subprocess.run(["cp", "--sparse=always", str(older / "docker.img"), str(image)], check=True)
        else:
            subprocess.run(["truncate", "-s", SIZE, str(image)], check=True)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
        (partial / "base").write_text(under.name, encoding="utf-8")
        build(tree, image, under if not older else None)

    return cache.entry("images", key, make, in_use) / "docker.img"


def previous(under: Path) -> Path | None:
    """The newest disk that was built on this base."""
    disks = sorted(cache.home().glob("images-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    return next((path for path in disks if (path / "base").read_text(encoding="utf-8") == under.name), None)


def build(tree: Path, image: Path, import_: Path | None) -> None:
    log = cache.home() / "images.log"
    log.unlink(missing_ok=True)
    steps = ["set -eu"]
    if import_:
        steps.append(f"tar -C /run/base -c . | docker import --change 'CMD [\"bash\"]' - {BASE_IMAGE}")
    for name, dockerfile in IMAGES.items():
        steps.append(f"DOCKER_BUILDKIT=0 docker build --network host --tag {name} --file {dockerfile} .")
    steps.append("docker image prune --force")
    script = packages.REPO / "tools" / "docker-on-host.sh"
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    argv += [str(script), str(tree), str(image), str(packages.REPO), "bash", "-c", "\n".join(steps)]
    env = rootfs.clean_env() | ({"BASE": str(import_)} if import_ else {})
    run(f"container images {', '.join(IMAGES)}", argv, log, env)
