"""What every measurement needs: a journaled file system, CPU seconds of a whole process tree, medians, processes."""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


class Unable(Exception):  # noqa: N818
    """This machine cannot run the measurement; the text says what is missing."""


def require_root_and(*programs: str) -> None:
    """Raise Unable unless we are root and every program is installed."""
    if os.geteuid() != 0:
        raise Unable("the benchmarks mount a journaled file system and count CPU in a control group: run them as root")
    missing = [program for program in programs if not find(program)]
    if missing:
        raise Unable(f"missing {', '.join(missing)}: on Debian, apt-get install postfix e2fsprogs")


def find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def journaled_fs(folder: Path, gib: int = 6) -> Iterator[Path]:
    """A fresh ext4 with a journal, in a file, mounted for as long as the block runs."""
    image = folder / "journaled.img"
    mount = folder / "fs"
    mount.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the peers run as users of their own
    with image.open("wb") as file:
        file.truncate(gib << 30)
    subprocess.run([_need("mkfs.ext4"), "-q", "-F", str(image)], check=True)
    subprocess.run([_need("mount"), "-o", "loop", str(image), str(mount)], check=True)
    try:
        yield mount
    finally:
        for _ in range(20):
            if subprocess.run([_need("umount"), str(mount)], check=False, stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.5)
        image.unlink(missing_ok=True)


def _need(program: str) -> str:
    path = find(program)
    if path is None:
        raise Unable(f"{program} is not installed")
    return path


class CpuGroup:
    """A control group: CPU seconds and memory of everything started in it, short-lived children too."""

    def __init__(self, name: str) -> None:
        name = f"{name}_{os.getpid()}"  # two runs at once must not count each other
        v1 = Path("/sys/fs/cgroup/cpuacct")
        if v1.is_dir():
            self.folder, self._file = v1 / f"postroad_{name}", "cpuacct.usage"
        elif Path("/sys/fs/cgroup/cgroup.procs").exists():
            self.folder, self._file = Path("/sys/fs/cgroup") / f"postroad_{name}", "cpu.stat"
        else:
            raise Unable("no cpuacct or unified control group is mounted")
        self.folder.mkdir(exist_ok=True)

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        """Start a command inside the group."""
        procs = self.folder / "cgroup.procs"
        wrapped = ["/bin/sh", "-c", f'echo $$ > {procs}; exec "$@"', "sh", *command]
        return subprocess.Popen(wrapped, **options)  # type: ignore[call-overload,no-any-return]

    def seconds(self) -> float:
        text = (self.folder / self._file).read_text()
        if self._file == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split()[1]) / 1e6

    def pids(self) -> list[int]:
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]

    def remove(self) -> None:
        """Once its processes have ended."""
        with suppress(OSError):
            self.folder.rmdir()

    def pss(self) -> int:
        """Proportional set size of all its processes, in KiB."""
        total = 0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, address: str = "127.0.0.1", seconds: float = 15) -> None:
    """Until something listens there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise Unable(f"nothing came to listen on {address}:{port}")


def median_line(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):,.0f} [{min(figures):,.0f}-{max(figures):,.0f}]"


def say(text: str) -> None:
    print(text, flush=True)


def machine() -> str:
    """One line about where the figures come from."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "unknown CPU")  # fmt: skip
    return f"{os.cpu_count()} x {cpu}, Linux {os.uname().release}, Python {sys.version.split()[0]}"
