"""Turns the VM's disk of images into a Docker that answers: containerd and dockerd, started where they do not run."""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.progress import LabError, phase, tail, wait_for

DEADLINE = 180.0
RUN = Path("/run")
SOCKET = RUN / "docker.sock"
CONTAINERD = RUN / "containerd" / "containerd.sock"
# Kubernetes' interface takes longer to load than all the rest.
CONTAINERD_CONFIG = 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'


def answers() -> bool:
    """Asks over the socket: the start of Docker's command line costs a second where the processor is emulated."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(str(SOCKET))
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in client.recv(64)
        except OSError:
            return False


def background(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    with (RUN / f"{argv[0]}.log").open("wb") as log:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def start() -> None:
    """Starts Docker where it does not run; no bridge and no rules, as a topology's links are all its network.

    containerd is started here: one that dockerd starts has 15 seconds to answer, which a busy machine exceeds.
    """
    if answers():
        return
    config = RUN / "containerd.toml"
    config.write_text(CONTAINERD_CONFIG, encoding="utf-8")
    with phase("Docker starts", RUN / "dockerd.log"):
        started = [background(["containerd", "--config", str(config), "--log-level", "warn"])]
        # crun for runc: the start of a Go program costs a second too, and there are several for each container.
        argv = [
            "dockerd",
            "--containerd",
            str(CONTAINERD),
            "--add-runtime=crun=/usr/bin/crun",
            "--default-runtime=crun",
        ]
        argv += ["--iptables=false", "--ip6tables=false", "--bridge=none", "--log-level=warn"]
        wait_for(CONTAINERD.exists, DEADLINE, "containerd makes its socket", RUN / "containerd.log")
        started.append(background(argv))

        def ready() -> bool:
            for daemon, log in zip(started, ("containerd.log", "dockerd.log"), strict=True):
                if daemon.poll() is not None:
                    raise LabError(f"Docker ended while it started:\n{tail(RUN / log)}")
            return answers()

        wait_for(ready, DEADLINE, "Docker answers", RUN / "dockerd.log")
