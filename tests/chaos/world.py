"""An instance with its broker and workers, as the director sees them. The director itself connects to nothing."""

import contextlib
import ctypes
import os
import random
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import worker
from clock import Clock
from history import History
from tensorbroker import _core, _launch

LIMIT = 40.0  # seconds: what hangs is a violation
GONE = ("Z", "X", "")  # states of a process that ended: its locks are free
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWTIME = 0x00020000, 0x20000000, 0x00000080
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class Hung(Exception):
    """Something did not come about in time."""


def await_(what: str, look: Callable[[], bool], limit: float = LIMIT, show: Callable[[], str] = str) -> None:
    """Look until it is so; else raise, with what show() says."""
    deadline = time.monotonic() + limit
    while not look():
        if time.monotonic() > deadline:
            raise Hung(f"{what}: {show()}")
        time.sleep(0.005)


def state_of(pid: int) -> str:
    """Return the state letter of a process; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def own_pid(pid: int) -> int | None:
    """Return the number that a process knows itself by, in its own pid namespace."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return None


def ends_with(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Child:
    """A forked worker, and the pipes to it."""

    def __init__(self, prefix: str, pid: int, reports: int, control: int) -> None:
        """Keep what fork() gave."""
        self.prefix = prefix
        self.pid = pid
        self.reports = reports
        self.control = control
        self.text = b""

    def lines(self) -> list[str]:
        """Return what it reported since."""
        while select.select([self.reports], [], [], 0)[0]:
            more = os.read(self.reports, 65536)
            if not more:
                break
            self.text += more
        *whole, self.text = self.text.split(b"\n")
        return [line.decode() for line in whole]

    def close(self) -> None:
        os.close(self.reports)
        if self.control >= 0:
            os.close(self.control)


class World:
    """One instance through many rounds."""

    def __init__(self, seed: str, runtime_dir: str, capacity: str, clock: Clock) -> None:
        """Start nothing yet."""
        self.seed = seed
        self.clock = clock
        self.random = random.Random(seed)
        self.instance = f"chaos-{os.getpid()}"
        self.runtime_dir = runtime_dir
        self.capacity = capacity
        self.history = History()
        self.children: list[Child] = []
        self.violations: list[str] = []
        self.gave_up = 0
        self.sequence = 0
        self.may_lose = False
        self.foreground: list[subprocess.Popen[bytes]] = []

    # ---- the broker

    def broker_pid(self) -> int | None:
        """Return the process id of the broker that the lock names, which may be one of a pid namespace, as it is here.

        None where there is none, or it ends just now.
        """
        recorded = _core._places(self.instance, self.runtime_dir)["broker_pid"]
        if recorded is None:
            return None
        return next((pid for pid in self.brokers() if own_pid(pid) == recorded), None)

    def brokers(self) -> list[int]:
        """Return the process ids of daemons of this instance that did not end."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"tensorbrokerd") and self.instance.encode() in words:
                    found.append(int(process.name))
        return [pid for pid in found if state_of(pid) not in GONE]

    def start_broker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a broker in the foreground, without waiting for it. It may refuse: another one may be alive."""
        command = [_launch.daemon_path(), "--instance", self.instance, "--capacity", self.capacity]
        command += arguments or ["--runtime-dir", self.runtime_dir]
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.foreground.append(started)
        return started

    def reap_brokers(self) -> None:
        """Take the status of brokers in the foreground that ended."""
        self.foreground = [broker for broker in self.foreground if broker.poll() is None]

    def log(self) -> str:
        """Return the end of the broker's log."""
        path = Path(self.runtime_dir, f"{self.instance}.log")
        return "\n".join(path.read_text().splitlines()[-30:]) if path.exists() else "no log"

    def abandon(self) -> None:
        """End everything of this world that may be left after a failure."""
        for child in list(self.children):
            ends_with(child.pid, signal.SIGKILL)
            ends_with(child.pid, signal.SIGCONT)
            os.waitpid(child.pid, 0)
        for pid in self.brokers():
            ends_with(pid, signal.SIGKILL)
        for broker in self.foreground:
            broker.kill()
            broker.wait()
        for path in self.files():
            path.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """Return what the instance has in /dev/shm."""
        return list(Path("/dev/shm").glob(f"tensorbroker.{os.geteuid()}.{self.instance}.*"))

    def kinds(self) -> list[str]:
        """Return the kinds of its files, sorted."""
        return sorted(re.sub(r"\.\d+$", "", path.name).rpartition(".")[2] for path in self.files())

    # ---- workers

    def start_worker(self, prefix: str, round_number: int, *, in_namespaces: bool = False) -> None:
        """Fork a worker, in namespaces of its own (pid and mount) where told."""
        report_read, report_write = os.pipe()
        control_read, control_write = os.pipe()
        self.sequence += 100_000
        setting = worker.Setting(
            instance=self.instance,
            runtime_dir=self.runtime_dir,
            capacity=self.capacity,
            prefix=prefix,
            seed=f"{self.seed}/{round_number}/{prefix}",
            reports=report_write,
            control=control_read,
            may_lose=self.may_lose,
            first_sequence=self.sequence,
        )
        pid = os.fork()
        if pid == 0:
            for child in self.children:
                child.close()
            os.close(report_read)
            os.close(control_write)
            if in_namespaces:
                enter_namespaces(random.Random(setting.seed))
            worker.run(setting)
        os.close(report_write)
        os.close(control_read)
        self.children.append(Child(prefix, pid, report_read, control_write))

    def listen(self) -> None:
        """Take what the workers reported."""
        for child in self.children:
            for line in child.lines():
                word, name, number, *rest = line.split(" ", 3)
                if word == "violation":
                    self.violations.append(f"{name}: {' '.join(rest)}")
                elif word == "gave-up":
                    self.gave_up += 1
                else:
                    self.history.record(word, name, int(number))

    def kill_worker(self, child: Child) -> None:
        """End one with SIGKILL."""
        ends_with(child.pid, signal.SIGKILL)
        self.reap(child)

    def reap(self, child: Child) -> None:
        """Wait for the end of a worker, which has its reason to end."""
        await_(f"worker {child.prefix} (pid {child.pid}) did not end", lambda: self.has_ended(child))
        os.waitpid(child.pid, 0)
        # Its own children, and a grandchild in a namespace, may write a moment longer.
        self.listen()
        self.history.writer_died(child.prefix + "/")
        child.close()
        self.children.remove(child)

    def has_ended(self, child: Child) -> bool:
        self.listen()
        return state_of(child.pid) in GONE

    def end_workers(self) -> None:
        """End half of them in good order, the others with SIGKILL."""
        for child in list(self.children):
            ends_with(child.pid, signal.SIGCONT)
            if self.random.random() < 0.5:
                os.close(child.control)
                child.control = -1
        for child in list(self.children):
            if child.control >= 0:
                self.kill_worker(child)
        for child in list(self.children):
            self.reap(child)


def enter_namespaces(source: random.Random) -> None:
    """Go on as process 1 of a new pid namespace, with mounts and clocks of its own; this process waits for its end."""
    if _libc.unshare(CLONE_NEWPID | CLONE_NEWNS) != 0:
        return  # not allowed here: a worker like any other
    if _libc.unshare(CLONE_NEWTIME) == 0:
        earliest = -int(time.clock_gettime(time.CLOCK_MONOTONIC) * 0.9)
        offsets = [f"{clock} {source.choice([earliest, 1, 86_400, 10**8])} 0\n" for clock in ("monotonic", "boottime")]
        with contextlib.suppress(OSError):
            Path("/proc/self/timens_offsets").write_text("".join(offsets))
    pid = os.fork()
    if pid == 0:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
