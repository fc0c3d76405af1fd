"""Turns a root file system into a running VM with a name: QEMU, virtiofsd, and commands by ssh on 127.0.0.1."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import cache, packages, probe, rootfs
from tools.progress import LabError, phase, say, tail, wait_for

BOOT_DEADLINE = 120.0
MEMORY = 6 * 1024
READY = "hubgw lab: ready"


def default_name() -> str:
    """One VM a working tree, so that two clones on one machine do not meet, and one more whose time is counted."""
    kind = "counted" if probe.is_counted() else "dev"
    return os.environ.get("HUBGW_VM") or f"{kind}-{cache.key([str(packages.REPO)])[:6]}"


def in_tree(tree: Path, program: str) -> list[str]:
    """A program of the tree, on a host of any age: started by the tree's own loader."""
    return [
        str(tree / "lib64/ld-linux-x86-64.so.2"),
        "--library-path",
        str(tree / "usr/lib/x86_64-linux-gnu"),
        str(tree / program),
    ]


def qemu(tree: Path) -> list[str]:
    share = tree / "usr/share"
    return [*in_tree(tree, "usr/bin/qemu-system-x86_64"), "-L", str(share / "qemu"), "-L", str(share / "seabios")]


def memory() -> int:
    """Megabytes for the guest: 6 GiB, or what a small host can spare."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    available = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable"))
    if available < 2048:
        raise LabError(f"the lab needs 2 GiB of memory, and {available} MiB are free on this host")
    return min(MEMORY, available * 3 // 4)


@dataclass(frozen=True)
class Vm:
    name: str

    @property
    def state(self) -> Path:
        return cache.home() / "vm" / self.name

    def file(self, name: str) -> Path:
        return self.state / name

    def stands_on(self) -> tuple[Path | None, Path | None]:
        """The root file system and the disk that this VM was booted with."""
        paths = (self.file("root"), self.file("disk"))
        root, disk = (Path(path.read_text(encoding="utf-8")) if path.exists() else None for path in paths)
        return root, disk

    def alive(self) -> bool:
        return process_of(self.file("qemu.pid"), self.state) is not None

    def ssh(self, argv: Sequence[str], options: Sequence[str] = ()) -> list[str]:
        """The command line that runs `argv` in the VM, in the repository's folder."""
        command = f"cd /src && exec {shlex.join(argv)}" if argv else "cd /src && exec bash"
        return ["ssh", "-F", str(self.file("ssh_config")), *options, "lab", command]

    def execute(self, argv: Sequence[str]) -> int:
        """Runs `argv` with this process's terminal and streams, and returns its exit status."""
        if not self.alive():
            raise LabError(f"the VM {self.name} is not up: python3 -m tools.lab up")
        tty = ["-tt"] if sys.stdin.isatty() and sys.stdout.isatty() else []
        return subprocess.run(self.ssh(argv, tty), check=False).returncode

    def up(self, tree: Path, disk: Path | None = None) -> bool:
        """Boots the VM unless it runs on this tree (and disk, where one is asked for); an older one is replaced.

        Says whether it was booted.
        """
        with cache.locked(f"vm-{self.name}"):
            if self.alive():
                old_tree, old_disk = self.stands_on()
                if old_tree == tree and disk in (None, old_disk):
                    return False
                say(f"{self.name} runs an older root file system or images: it is replaced")
            self.stop()
            self.state.mkdir(parents=True)
            self.file("root").write_text(str(tree), encoding="utf-8")
            if disk:
                self.file("disk").write_text(str(disk), encoding="utf-8")
            with phase(f"boot of {self.name}"):
                try:
                    self.boot(tree, disk)
                except BaseException:
                    self.end()
                    raise
            return True

    def boot(self, tree: Path, disk: Path | None) -> None:
        kernel = next((tree / "boot").glob("vmlinuz-*"))
        accel, why = probe.accelerator(tree, qemu(tree), kernel)
        size = memory()
        say(f"{'KVM' if accel == 'kvm' else 'no KVM, emulated (TCG)'}: {why}; {size} MiB of memory")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.file("key"))], check=True
        )
        public = self.file("key.pub").read_text(encoding="utf-8").split()[1]
        shares = [
            self.share(tree, "rootfs", tree, "--cache=always", "--readonly"),
            self.share(tree, "src", packages.REPO, "--cache=auto"),
        ]
        port = free_port()
        argv = [
            *qemu(tree),
            "-M",
            "q35",
            "-accel",
            accel,
            "-cpu",
            "max",
            "-smp",
            # Of two, each would be charged for what the other does.
            "1" if probe.is_counted() else str(min(4, os.cpu_count() or 1)),
            "-m",
            f"{size}M",
        ]
        if probe.is_counted():
            argv += ["-icount", "shift=1"]
        argv += ["-object", f"memory-backend-memfd,id=mem,size={size}M,share=on", "-numa", "node,memdev=mem"]
        for number, (tag, path) in enumerate(shares):
            argv += [
                "-chardev",
                f"socket,id=c{number},path={path}",
                "-device",
                f"vhost-user-fs-pci,chardev=c{number},tag={tag}",
            ]
        if disk:
            argv += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe,snapshot=on"]
        argv += ["-nic", f"user,restrict=on,ipv6=off,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
        argv += ["-display", "none", "-serial", f"file:{self.file('console.log')}", "-monitor", "none", "-no-reboot"]
        append = f"console=ttyS0 rootfstype=virtiofs root=rootfs ro init=/{rootfs.INIT} quiet panic=-1 mitigations=off"
        argv += ["-kernel", str(kernel), "-append", f"{append} hubgw.key={public}"]
        self.start("qemu", argv)
        self.write_ssh_config(tree, port)
        self.wait_ready()

    def share(self, tree: Path, tag: str, folder: Path, *options: str) -> tuple[str, Path]:
        """Starts a virtiofsd for a folder, by a short path: a socket's name has at most 107 characters."""
        path = self.file(f"{tag}.sock")
        argv = [*in_tree(tree, "usr/libexec/virtiofsd")]
        argv += [f"--socket-path={path}", f"--shared-dir={folder}", "--sandbox=chroot", "--xattr", *options]
        self.start(f"virtiofsd-{tag}", argv)
        wait_for(path.exists, 10, f"virtiofsd for {folder} makes its socket", self.file(f"virtiofsd-{tag}.log"))
        return tag, path

    def start(self, name: str, argv: Sequence[str]) -> None:
        """Starts a program of ours that outlives this one, known by its pid file."""
        with self.file(f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        pid_file = self.file(f"{name}.pid")
        pid_file.write_text(str(child.pid), encoding="utf-8")
        # For an instant of its execve, a process has no command line to be known by.
        wait_for(lambda: child.poll() is not None or process_of(pid_file, self.state) is not None, 10, f"{name} starts")

    def write_ssh_config(self, tree: Path, port: int) -> None:
        host_key = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8").split()
        self.file("known_hosts").write_text(f"lab {host_key[0]} {host_key[1]}\n", encoding="utf-8")
        lines = ["Host lab", "HostName 127.0.0.1", f"Port {port}", "User root", "HostKeyAlias lab", "LogLevel ERROR"]
        lines += [
            f"IdentityFile {self.file('key')}",
            f"UserKnownHostsFile {self.file('known_hosts')}",
            "IdentitiesOnly yes",
        ]
        lines += [
            "StrictHostKeyChecking yes",
            f"ControlPath {self.file('ctl')}",
            "ControlMaster no",
            "ServerAliveInterval 15",
        ]
        self.file("ssh_config").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def wait_ready(self) -> None:
        console = self.file("console.log")

        def ready() -> bool:
            if not self.alive():
                raise LabError(f"the VM ended while it booted:\n{tail(self.file('qemu.log'))}\n{tail(console)}")
            return console.exists() and READY in console.read_text(errors="replace")

        wait_for(ready, BOOT_DEADLINE, "the VM boots", console)
        # One connection stays open, and each command is a channel of it: 0.06 s instead of a handshake.
        master = ["ssh", "-F", str(self.file("ssh_config")), "-f", "-N", "-M", "-o", "ControlPersist=yes", "lab"]
        with self.file("ssh.log").open("wb") as log:
            wait_for(
                lambda: (
                    subprocess.run(master, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False).returncode
                    == 0
                ),
                30,
                "ssh answers",
                self.file("ssh.log"),
            )

    def stop(self) -> bool:
        """Ends the VM and forgets it; says whether one was running."""
        was_alive = self.alive()
        self.end()
        if self.state.exists():
            shutil.rmtree(self.state)
        return was_alive

    def end(self) -> None:
        if self.file("ctl").exists():
            subprocess.run(
                ["ssh", "-F", str(self.file("ssh_config")), "-O", "exit", "lab"], capture_output=True, check=False
            )
        pid_files = sorted(self.state.glob("*.pid"))
        for pid_file in pid_files:
            if (pid := process_of(pid_file, self.state)) is not None:
                os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not any(process_of(file, self.state) for file in pid_files), 10, f"{self.name} ends")


def process_of(pid_file: Path, marker: Path) -> int | None:
    """The process that a pid file names, if it still is one of ours: its command line names our state folder."""
    try:
        pid = int(pid_file.read_text(encoding="utf-8"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        gone = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    return pid if str(marker).encode() in command and not gone else None


def free_port() -> int:
    with socket.socket() as probe_:
        probe_.bind(("127.0.0.1", 0))
        return int(probe_.getsockname()[1])


def all_names() -> list[str]:
    return sorted(path.name for path in (cache.home() / "vm").glob("*") if path.is_dir())
