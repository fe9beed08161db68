"""What the tests stand on: brokers and programs as real processes, snapshots of what a process holds, waiting."""

import gc
import itertools
import multiprocessing
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import tensorbroker as tb
from tensorbroker import _core, _launch

INSTANCE_PREFIX = f"pytest-{os.getpid()}-"
VARIABLES = ("TENSORBROKER_INSTANCE", "TENSORBROKER_RUNTIME_DIR", "TENSORBROKER_AUTOSTART")
LIMIT = 30.0  # seconds: what hangs fails
SETTLING = float(os.environ.get("TENSORBROKER_TEST_SETTLING", "20"))  # seconds that a test's leftovers may take to go

_numbers = itertools.count(1)


def fresh_instance() -> str:
    """Return the name of an instance that nobody used."""
    return f"{INSTANCE_PREFIX}{next(_numbers)}"


def expect_within(seconds: float, look: Callable[[], Any], wanted: Any) -> None:
    """Look until it is what is wanted."""
    deadline = time.monotonic() + seconds
    while (found := look()) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run the function beside; its result, or what it raised, is put into the list."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def segments(instance_prefix: str) -> Counter[str]:
    """Count what instances have in /dev/shm, by instance and kind."""
    prefix = f"tensorbroker.{os.geteuid()}.{instance_prefix}"
    names = (path.name for path in Path("/dev/shm").glob(prefix + "*"))
    return Counter(re.sub(r"\.\d+$", "", name.removeprefix(f"tensorbroker.{os.geteuid()}.")) for name in names)


def is_running(pid: int) -> bool:
    """Return whether there is such a process, and it is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def shared_mappings() -> tuple[Counter[str], Counter[str]]:
    """Count the mappings that this process has of segments, by instance, kind and access; and their bytes.

    Of the two session segments that a client maps, the second one (its heir's) comes and goes with forks: one counts.
    """
    counts: Counter[str] = Counter()
    nbytes: Counter[str] = Counter()
    prefix = f"/dev/shm/tensorbroker.{os.geteuid()}."
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or not fields[5].startswith(prefix):
            continue
        begin, end = (int(address, 16) for address in fields[0].split("-"))
        segment = re.sub(r"\.\d+$", "", fields[5].removesuffix(" (deleted)").removeprefix(prefix))
        counts[f"{segment} {fields[1]}"] += 1
        nbytes[f"{segment} {fields[1]}"] += end - begin
    for what in counts:
        if what.endswith(".session rw-s"):
            counts[what] -= min(counts[what] // 2, counts[what.replace("session rw-s", "catalog r--s")])
    return counts, nbytes


class Snapshot:
    """What a process holds at one time, and what the broker of its client counts."""

    def __init__(self, client: tb.Client | None) -> None:
        """Count now. A client's free extents stay mapped for its next tensors, and are in `used`: more is too much."""
        self.segments = segments(INSTANCE_PREFIX)
        self.descriptors = self._count_descriptors()
        self.children = self._list_children()
        self.mappings, nbytes = shared_mappings()
        self.held: Counter[str] = Counter()
        if client is None:
            self.mappings = Counter({what: n for what, n in self.mappings.items() if not what.endswith(".arena rw-s")})
            return
        stats = client.stats()
        extents = f"{client.instance}.arena rw-s"
        if nbytes[extents] > stats["used"]:
            client.reserve(1)  # unmaps extents that the broker has taken under pressure
            stats, (self.mappings, nbytes) = client.stats(), shared_mappings()
        self.held.update({name: stats["counters"][name] for name in ("leases", "pins")})
        self.mappings.pop(extents, None)
        self.held[f"bytes mapped of {extents}"] = max(0, nbytes[extents] - stats["used"])

    @classmethod
    def take(cls, client: tb.Client | None = None) -> Self:
        """Count now, after garbage was collected."""
        gc.collect()
        return cls(client)

    @staticmethod
    def _count_descriptors() -> Counter[str]:
        descriptors: Counter[str] = Counter()
        for link in Path("/proc/self/fd").iterdir():
            try:
                descriptors[re.sub(r"\d+", "N", os.readlink(link))] += 1
            except OSError:
                continue
        return descriptors

    @staticmethod
    def _list_children() -> set[int]:
        children: set[int] = set()
        for task in Path("/proc/self/task").iterdir():
            children |= {int(pid) for pid in (task / "children").read_text().split()}
        return children

    def beyond(self, before: Self) -> list[str]:
        """Name what there is more than before."""
        more = [f"{n} more of {what} in /dev/shm" for what, n in (self.segments - before.segments).items()]
        more += [f"{n} more descriptors of {what}" for what, n in (self.descriptors - before.descriptors).items()]
        more += [f"{n} more mappings of {what}" for what, n in (self.mappings - before.mappings).items()]
        more += [f"{n} more {what}" for what, n in (self.held - before.held).items()]
        return more + [f"child process {pid}" for pid in self.children - before.children]

    def end_children(self, before: Self) -> None:
        """End the processes that a failed test left: they would hold memory, and the end of this process."""
        for pid in self.children - before.children:
            os.kill(pid, signal.SIGKILL)
        for process in multiprocessing.active_children():
            if process.pid not in before.children:
                process.join(LIMIT)


class Broker:
    """A tensorbrokerd in the foreground, which can be killed and started again."""

    def __init__(self, instance: str, runtime_dir: str, capacity: str, group: str | None = None) -> None:
        """Start nothing yet."""
        self.group = group
        self.instance = instance
        self.runtime_dir = runtime_dir
        self.capacity = capacity
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until clients can connect."""
        ready, write_end = os.pipe()
        command = [_launch.daemon_path(), "--instance", self.instance, "--runtime-dir", self.runtime_dir]
        command += ["--capacity", self.capacity, "--ready-fd", str(write_end)]
        if self.group is not None:
            command += ["--group", self.group]
        self.process = subprocess.Popen(command, pass_fds=[write_end], stdin=subprocess.DEVNULL)
        os.close(write_end)
        try:
            assert select.select([ready], [], [], LIMIT)[0], "the broker is not ready"
            assert os.read(ready, 1) == b"\n", "the broker ended at its start"
        finally:
            os.close(ready)

    def signal(self, number: int) -> None:
        """Send a signal that ends it, and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(LIMIT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep it from running in the meantime."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            expect_within(LIMIT, lambda: ") T " in Path(f"/proc/{self.pid}/stat").read_text(), True)
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order; where it was killed, by way of a successor, which cleans up."""
        if self.process is None or self.process.poll() is not None:
            if not segments(self.instance + "."):
                return
            self.start()
        self.signal(signal.SIGTERM)
        assert segments(self.instance + ".") == {}

    def connect(self, **options: Any) -> tb.Client:
        """Connect to it."""
        return tb.connect(self.instance, runtime_dir=self.runtime_dir, autostart=False, **options)


def stop_helpers() -> None:
    """End the processes and threads that multiprocessing keeps for later."""
    from multiprocessing import forkserver, resource_sharer, resource_tracker

    gc.collect()  # unlinks semaphores
    resource_sharer.stop(timeout=LIMIT)
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


def broker_pid(instance: str) -> int | None:
    """Return the process id of the instance's broker; None where there is none."""
    pid = _core._places(instance)["broker_pid"]
    return None if pid is None else int(pid)


def end_broker(instance: str, runtime_dir: str) -> None:
    """End the broker that a connect() started, and check that it leaves nothing."""
    pid = broker_pid(instance)
    if pid is None and segments(instance + "."):
        tb.connect(instance, runtime_dir=runtime_dir, autostart=True).close()
        pid = broker_pid(instance)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        expect_within(LIMIT, lambda: is_running(pid), False)
    assert segments(instance + ".") == {}


class Program:
    """A Python program in a process of its own, which is spoken to line by line."""

    def __init__(self, code: str, *arguments: str) -> None:
        """Start it. It inherits the environment, and so the shared broker."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def read(self) -> str:
        """Return its next line; fail where it ends or takes too long."""
        assert self._process.stdout is not None
        assert select.select([self._process.stdout], [], [], LIMIT)[0], "the program says nothing"
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate(timeout=LIMIT)
            raise AssertionError(f"the program ended:\n{errors}")
        return line.rstrip("\n")

    def write(self, line: str = "") -> None:
        """Give it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def finish(self) -> str:
        """Wait for its end, which must be a good one; return what it printed since."""
        out, errors = self._process.communicate(timeout=LIMIT * 2)
        assert self._process.returncode == 0, errors
        return out

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and wait for the end; return the status."""
        self._process.send_signal(number)
        return self._process.wait(LIMIT)

    def __enter__(self) -> Self:
        """Run until the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


def run(code: str, *arguments: str) -> str:
    """Run a program to its end; return what it printed."""
    with Program(code, *arguments) as program:
        return program.finish()
