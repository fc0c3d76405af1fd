"""Turns package lists and requirements.lock into the lab's root file system: a layer of Debian, one of Python."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools import cache, packages
from tools.progress import phase, run

RECIPE = "2"
SUITE = "trixie"
LOCK = packages.REPO / "requirements.lock"
STUB = packages.REPO / "tools" / "guest" / "init"
INIT = "usr/local/lib/hubgw-lab/init"
COMMAND = packages.REPO / "packaging" / "hubgw"
PYCACHE = "/var/cache/pycache"
# Packages that are unpacked beside the installed ones: Libreswan is a branch of its own, and Debian lets a system have
# one IKE daemon. What it needs stands in the list of packages, and no path of it is strongSwan's.
UNPACKED = ("libreswan",)
# What a proxy or a mirror of the site needs; nothing else of the caller's environment reaches a build.
PASSED = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
)


def clean_env() -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **passed}


def local_cas() -> dict[str, bytes]:
    """The host's own certificate authorities, by file name: what a TLS-inspecting proxy of the site signs with."""
    found = {path.name: path.read_bytes() for path in sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt"))}
    bundle = os.environ.get("SSL_CERT_FILE", "")
    if not found and bundle and Path(bundle).resolve() != Path("/etc/ssl/certs/ca-certificates.crt"):
        marker = "-----END CERTIFICATE-----\n"
        for number, block in enumerate(Path(bundle).read_text(encoding="utf-8").split(marker)[:-1]):
            pem = block[block.index("-----BEGIN CERTIFICATE-----") :] + marker
            found[f"ssl-cert-file-{number:03}.crt"] = pem.encode()
    return found


def mmdebstrap(what: str, tree: Path, include: Iterable[str], log: Path, unpacked: Iterable[str] = ()) -> None:
    """Without a mirror given, mmdebstrap takes the suite with its updates and its security updates.

    What is `unpacked` has its files put beside those of the packages that are installed, without scripts.
    """
    quiet = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")
    argv = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(include)}"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in quiet]
    unpack = "cd $(mktemp -d) && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download {0} && dpkg-deb -x {0}_*.deb $1"
    argv += [f"--customize-hook={unpack.format(name)}" for name in unpacked]
    argv += ['--aptopt=Acquire::Languages "none"', "--skip=cleanup/apt/lists", SUITE, str(tree)]
    run(what, argv, log, clean_env())
    for name, text in (("resolv.conf", ""), ("hostname", "lab\n")):
        (tree / "etc" / name).unlink(missing_ok=True)
        (tree / "etc" / name).write_text(text, encoding="utf-8")
    install_cas(tree)


def install_cas(tree: Path) -> None:
    certificates = local_cas()
    folder = tree / "usr/local/share/ca-certificates"
    if certificates:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in certificates.items():
            (folder / name).write_bytes(data)
    if certificates and (tree / "usr/sbin/update-ca-certificates").exists():
        subprocess.run(chroot(tree, ["update-ca-certificates"]), env=clean_env(), capture_output=True, check=True)


def chroot(tree: Path, argv: Sequence[str], network: bool = False) -> list[str]:
    """The command line of `argv` in `tree`, on this machine's kernel and in a mount namespace of its own."""
    script = [f"R={shlex.quote(str(tree))}", "mount --bind $R $R"]
    script += [f"mount --rbind /{name} $R/{name}" for name in ("proc", "sys", "dev")]
    script += [f"mount -t tmpfs tmpfs $R/{name}" for name in ("run", "tmp")]
    if network:
        script.append("mount --bind /etc/resolv.conf $R/etc/resolv.conf")
    script.append(f"exec chroot $R {shlex.join(argv)}")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", "\n".join(script)]


def debian(in_use: Iterable[Path] = ()) -> Path:
    """The first layer: Debian with the appliance's and the lab's packages."""
    names = sorted({*packages.read(packages.APPLIANCE), *packages.read(packages.LAB)})
    key = cache.key([RECIPE, SUITE, *names, *UNPACKED, *local_cas().values()])

    def make(partial: Path) -> None:
        what = f"Debian {SUITE} ({len(names)} packages and what they need)"
        mmdebstrap(what, partial, names, cache.home() / "debian.log", UNPACKED)

    return cache.entry("debian", key, make, in_use)


def root(in_use: Iterable[Path] = ()) -> Path:
    """The second layer, complete: what a VM boots."""
    lock = LOCK.read_bytes() if LOCK.exists() else b""
    base = debian(in_use)
    key = cache.key([RECIPE, base.name, lock, STUB.read_bytes(), COMMAND.read_bytes(), SETUP])

    def make(partial: Path) -> None:
        # Hard links cost no space; what is added below are new files, so that the layer beneath stays as it is.
        with phase("a copy of the Debian layer"):
            partial.rmdir()
            subprocess.run(["cp", "-al", str(base), str(partial)], check=True)
        for name in ("overlay", "src", "usr/local/lib/hubgw-lab"):
            (partial / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(STUB, partial / INIT)
        (partial / "usr/local/lib/hubgw-lab/requirements.lock").write_bytes(lock)
        shutil.copy(COMMAND, partial / "usr/local/bin/hubgw")
        argv = chroot(partial, ["sh", "-euc", SETUP], network=True)
        run("Python's packages", argv, cache.home() / "python.log", {**clean_env(), "PYTHONPYCACHEPREFIX": PYCACHE})

    return cache.entry("root", key, make, in_use)


# The lab keeps byte code apart from the source, so that /src stays clean; Python then looks for all of it there, the
# standard library's too. What drops its environment, as a BGP speaker does, looks beside the source.
SETUP = r"""
python3 -m venv --system-site-packages /opt/hubgw
if [ -s /usr/local/lib/hubgw-lab/requirements.lock ]; then
  /opt/hubgw/bin/python -m pip install --no-compile --no-cache-dir --disable-pip-version-check --require-hashes \
    -r /usr/local/lib/hubgw-lab/requirements.lock
fi
echo /src > "$(echo /opt/hubgw/lib/python3*/site-packages)/hubgw-source.pth"
/opt/hubgw/bin/python -m compileall -q -j 2 /usr/lib/python3* /opt/hubgw/lib || true
env -u PYTHONPYCACHEPREFIX /opt/hubgw/bin/python -m compileall -q -j 2 /opt/hubgw/lib || true
"""
