"""One client process: random calls until it is told to end, or is killed. It checks all that it reads."""

import contextlib
import os
import random
import resource
import select
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorbroker as tb
from contents import array_of, flaw, metadata_of
from history import ABSENT

MOST_HELD = 12
NAMES = 6  # of each writer
Refused = (tb.Error, MemoryError, OSError)


class ViolationError(Exception):
    """Something was read that cannot be."""


@dataclass(frozen=True)
class Setting:
    """What a worker works in."""

    instance: str
    runtime_dir: str
    capacity: str
    prefix: str  # of the names that it alone writes
    seed: str
    reports: int  # descriptors
    control: int
    may_lose: bool  # names may vanish: a cleaner of /dev/shm is about
    first_sequence: int


class Worker:
    """The loop and its calls."""

    def __init__(self, setting: Setting) -> None:
        """Connect; a broker is started where there is none."""
        self.setting = setting
        self.random = random.Random(setting.seed)
        self.sequence = setting.first_sequence
        self.held: list[tuple[str, Any]] = []
        self.newest: dict[str, int] = {}
        self.known: dict[str, bool] = {}  # of its own names: whether they are there
        self.client = tb.connect(
            setting.instance, runtime_dir=setting.runtime_dir, capacity=setting.capacity, timeout=20
        )

    def report(self, word: str, name: str, sequence: int) -> None:
        os.write(self.setting.reports, f"{word} {name} {sequence}\n".encode())

    def run(self) -> None:
        """Work until the control pipe is closed."""
        calls = [self.put] * 8 + [self.get] * 8 + [self.draft, self.delete, self.wait, self.list, self.bundle]
        calls += [self.mutable, self.children, self.few_descriptors, self.little_memory]
        while not select.select([self.setting.control], [], [], 0)[0]:
            with contextlib.suppress(tb.OutOfMemoryError, tb.BrokerUnavailableError):
                self.random.choice(calls)()
            if self.random.random() < 0.3:
                self.look_at_held()
        for name, tensor in self.held:
            self.check(name, tensor)
        self.held.clear()
        self.client.close()

    # ---- writing: each call between two reports

    def own_name(self) -> str:
        return f"{self.setting.prefix}/{self.random.randrange(NAMES)}"

    @contextlib.contextmanager
    def reported(self, name: str, *, deletes: bool = False) -> Iterator[int]:
        self.sequence += 1
        sequence = ABSENT if deletes else self.sequence
        self.report("begin", name, sequence)
        try:
            yield self.sequence
        except (tb.OutOfMemoryError, tb.NotFoundError):
            self.report("failed", name, sequence)
            raise
        except Refused:
            self.report("unknown", name, sequence)
            self.known.pop(name, None)
            raise
        self.report("done", name, sequence)
        self.known[name] = not deletes

    def put(self) -> None:
        name = self.own_name()
        with self.reported(name) as sequence:
            self.client.put(name, array_of(name, sequence), metadata=metadata_of(name, sequence))

    def draft(self) -> None:
        name = self.own_name()
        elements = array_of(name, self.sequence + 1)
        draft = self.client.create(name, elements.shape, tb.uint64, metadata=metadata_of(name, self.sequence + 1))
        draft.numpy()[...] = elements
        if self.random.random() < 0.3:
            draft.discard()
            return
        with self.reported(name):
            draft.publish()

    def bundle(self) -> None:
        name = self.own_name()
        with self.reported(name) as sequence:
            elements = array_of(name, sequence)
            half = elements.size // 2
            members = {"a": elements[:half], "b": elements[half:]}
            self.client.put(name, members, metadata=metadata_of(name, sequence))

    def delete(self) -> None:
        name = self.own_name()
        with contextlib.suppress(tb.NotFoundError), self.reported(name, deletes=True):
            self.client.delete(name)

    # ---- reading

    def check(self, name: str, found: Any) -> None:
        """Raise unless it is one whole version of that name."""
        parts = found.numpy()
        elements = np.concatenate([parts["a"], parts["b"]]) if isinstance(parts, dict) else parts
        if wrong := flaw(name, found.metadata, elements):
            raise ViolationError(wrong)

    def look(self, name: str) -> None:
        try:
            found = self.client.get(name)
        except tb.NotFoundError:
            if self.known.get(name) and not self.setting.may_lose:
                raise ViolationError(f"{name} was put, and is not there") from None
            return
        self.check(name, found)
        if found.version < self.newest.get(name, 0) and not self.setting.may_lose:
            raise ViolationError(f"{name} went back from version {self.newest[name]} to {found.version}")
        self.newest[name] = found.version
        self.held.append((name, found))
        if len(self.held) > MOST_HELD:
            self.held.pop(self.random.randrange(len(self.held)))

    def get(self) -> None:
        self.look(f"w{self.random.randrange(4)}/{self.random.randrange(NAMES)}")

    def look_at_held(self) -> None:
        if self.held:
            self.check(*self.random.choice(self.held))

    def wait(self) -> None:
        name = f"w{self.random.randrange(4)}/{self.random.randrange(NAMES)}"
        with contextlib.suppress(TimeoutError):
            self.check(name, self.client.wait(name, self.newest.get(name, 0), timeout=0.02))

    def list(self) -> None:
        names = [info.name for info in self.client.list()]
        if names != sorted(set(names)):
            raise ViolationError(f"a listing has {names}")
        missing = {name for name, there in self.known.items() if there} - set(names)
        if missing and not self.setting.may_lose:
            raise ViolationError(f"a listing lacks {sorted(missing)}")

    def mutable(self) -> None:
        name = f"m/{self.setting.prefix}"
        with contextlib.suppress(tb.ExistsError):
            self.client.zeros(8, dtype=tb.uint64, name=name)
        try:
            counter = self.client.open(name, "r+").numpy()
        except tb.NotFoundError:
            if self.setting.may_lose:  # it was there in the instance before
                return
            raise
        counter += 1
        if (counter != counter[0]).any():
            raise ViolationError(f"{name} is torn: {counter}")

    # ---- a hard life

    def children(self) -> None:
        """Fork several, which read what was held and more, and end or are killed."""
        pids = []
        for _ in range(self.random.choice([1, 1, 1, 8])):
            pid = os.fork()
            if pid == 0:
                self.be_child()
            pids.append(pid)
        if self.random.random() < 0.5:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            _, status = os.waitpid(pid, 0)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
                raise ViolationError(f"a child ended with {os.WEXITSTATUS(status)}")

    def be_child(self) -> None:
        status = 0
        try:
            self.look_at_held()
            self.get()
        except Refused:
            pass
        except BaseException as error:
            os.write(self.setting.reports, f"violation {self.setting.prefix} 0 in a child: {error!r}\n".encode())
            status = 7
        os._exit(status)

    def few_descriptors(self) -> None:
        """Let calls fail for want of descriptors; nobody else may notice."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            for call in (self.get, self.wait, self.put):
                with contextlib.suppress(*Refused):
                    call()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    def little_memory(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 20, before[1]))
        try:
            for call in (self.get, self.put):
                with contextlib.suppress(*Refused):
                    call()
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)


def run(setting: Setting) -> None:
    """Be a worker until the end of this process."""
    status = 0
    try:
        Worker(setting).run()
    except BaseException as error:
        # A broker that serves elsewhere for the moment refuses those who look for it here.
        elsewhere = isinstance(error, tb.Error) and "has the runtime directory" in str(error)
        # A full /dev/shm has no place for a new session.
        if elsewhere or isinstance(error, (tb.BrokerUnavailableError, tb.OutOfMemoryError)):
            os.write(setting.reports, f"gave-up {setting.prefix} 0 {error}\n".encode())
            os._exit(0)
        os.write(setting.reports, f"violation {setting.prefix} 0 {type(error).__name__}: {error}\n".encode())
        status = 1
    os._exit(status)
