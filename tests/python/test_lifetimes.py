"""Whatever shows the memory of a tensor keeps it: in any order of dropping, from any thread, until the very end.

What is let go of is seen in the broker: the bytes of a deleted tensor are `retired` as long as anybody holds it.
"""

import gc
import itertools
import random
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import neighbours
import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
import scipy.sparse
import tensorbroker as tb
import torch
from support import Broker, Snapshot, expect_within, run

SIZE = 1 << 14  # float64: mapped copy-on-write; fewer are copied
SIZES = pytest.mark.parametrize("size", [16, SIZE], ids=["copied", "mapped"])


class Interface:
    """What has `__array_interface__` alone, and the tensor that it is of."""

    def __init__(self, tensor: Any) -> None:
        """Keep the tensor, as an interface's owner does."""
        self.tensor, self.__array_interface__ = tensor, tensor.__array_interface__


# What may hold a tensor. All read as one array of its elements.
HOLDERS: dict[str, Callable[[Any], Any]] = {
    "tensor": lambda t: t,
    "view": lambda t: t[:],
    "view of a view": lambda t: t.view(4, -1).t().t().view(-1)[:],
    "array": lambda t: t.numpy(),
    "slice of an array": lambda t: t.numpy()[:],
    "asarray": np.asarray,
    "array of the interface": lambda t: np.asarray(Interface(t)),
    "memoryview": memoryview,
    "slice of a memoryview": lambda t: memoryview(t)[:].cast("B").cast("d"),
    "torch": lambda t: t.torch(),
    "view of torch": lambda t: t.torch().view(4, -1).view(-1),
    "storage of torch": lambda t: t.torch().untyped_storage(),
    "array of torch": lambda t: t.torch().numpy(),
    "capsule": lambda t: t.__dlpack__(),
    "versioned capsule": lambda t: t.__dlpack__(max_version=(1, 0)),
    "array by dlpack": np.from_dlpack,
    "tensor of the array": lambda t: tb.from_numpy(t.numpy()),
    "tensor of the capsule": lambda t: tb.from_dlpack(t.__dlpack__()),
    "tensor of torch": lambda t: tb.from_dlpack(t.torch()),
    "series": lambda t: pd.Series(t.numpy(), copy=False),
    "data frame": lambda t: pd.DataFrame(t.numpy().reshape(-1, 1), copy=False),
    "sparse matrix": lambda t: scipy.sparse.csr_array((t.numpy(), *_one_row(t.numel()))),
    "OrtValue": lambda t: ort.OrtValue.ortvalue_from_numpy(t.numpy()),
    "OrtValue by dlpack": ort.OrtValue.from_dlpack,
    "iterator": lambda t: iter(t.view(1, -1)),
}

JAX_HOLDERS: dict[str, Callable[[Any], Any]] = {
    "asarray": neighbours.to_jax,
    "device_put": lambda t: neighbours.jax().device_put(t.numpy()),
    "from_dlpack": neighbours.to_jax_by_dlpack,
    "tensor of JAX": lambda t: tb.from_dlpack(neighbours.jax().device_put(t.numpy())),
}


def _one_row(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(size, np.int32), np.array([0, size], np.int32)


def elements(holder: Any) -> np.ndarray:
    """Read what the holder shows. A capsule and an iterator are used up by it."""
    if type(holder).__name__ == "PyCapsule":
        return torch.from_dlpack(holder).numpy()
    if isinstance(holder, torch.UntypedStorage):
        return np.frombuffer(bytes(holder), np.float64)
    if type(holder).__name__ == "csr_array":
        return holder.data
    if hasattr(holder, "__next__"):
        return next(holder).numpy()
    return np.asarray(holder.numpy() if isinstance(holder, ort.OrtValue | tb.Tensor) else holder).reshape(-1)


def put_and_forget(client: tb.Client, size: int) -> tb.Tensor:
    """Put a tensor and delete its name, so that what shows it alone holds it."""
    assert client.stats()["retired"] == 0
    tensor = client.put("x", np.full(size, 3.0))
    client.delete("x")
    return tensor


def expect_let_go(client: tb.Client) -> None:
    """Wait until the broker has all memory back, without the help of the garbage collector."""
    expect_within(20, lambda: client.stats()["retired"], 0)


def check_holder(
    client: tb.Client, size: int, hold: Callable[[Any], Any], let_go: Callable[[], Any] = lambda: None
) -> None:
    """Check that it keeps the bytes when all else is gone, and lets go of them on another thread."""
    tensor = put_and_forget(client, size)
    holders = [hold(tensor)]
    if holders[0] is not tensor:
        tensor.release()
    del tensor
    for _ in range(4):  # would take the memory
        client.put("y", np.zeros(size))
    gc.collect()
    assert client.stats()["retired"] > 0
    assert (elements(holders[0]) == 3).all()
    thread = threading.Thread(target=holders.clear)
    thread.start()
    thread.join()
    let_go()
    expect_let_go(client)


@SIZES
@pytest.mark.parametrize("name", list(HOLDERS))
def test_it_keeps_the_memory(client: tb.Client, name: str, size: int) -> None:
    check_holder(client, size, HOLDERS[name])


@SIZES
@pytest.mark.parametrize("name", list(JAX_HOLDERS))
def test_jax_keeps_the_memory(client: tb.Client, jax: ModuleType, name: str, size: int) -> None:
    # JAX lets go of an array at its next call or garbage collection: neither is anything of ours.
    check_holder(client, size, JAX_HOLDERS[name], let_go=gc.collect)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mutable_tensor_is_kept_by_what_shows_it(client: tb.Client, mode: str) -> None:
    holders = [name for name in HOLDERS if mode != "r" or name in ("view", "array", "asarray", "memoryview", "series")]
    for name in holders:
        client.zeros(SIZE, dtype=tb.float64, name="m")[:] = 3
        holder = HOLDERS[name](client.open("m", mode))
        client.delete("m")
        gc.collect()
        assert client.stats()["retired"] > 0, name
        assert (elements(holder) == 3).all(), name
        del holder
        expect_let_go(client)


def test_a_draft_is_kept_by_what_shows_it(client: tb.Client) -> None:
    for name in ("array", "memoryview", "torch", "capsule", "OrtValue"):
        draft = client.create("d", SIZE, dtype=tb.float64)
        draft.numpy()[...] = 3
        holder = HOLDERS[name](draft)
        draft.discard()
        client.put("y", np.zeros(SIZE))  # would take the memory
        assert (elements(holder) == 3).all(), name
        del holder, draft
    assert not client.exists("d")


def test_members_keep_their_bundle(client: tb.Client) -> None:
    for name in ("view", "array", "torch", "capsule"):
        bundle = client.put("b", {"a": np.full(SIZE, 3.0), "b": np.zeros(5)})
        client.delete("b")
        holder = HOLDERS[name](bundle["a"])
        bundle.release()
        del bundle
        assert client.stats()["retired"] > 0
        assert (elements(holder) == 3).all(), name
        del holder
        expect_let_go(client)
    given = client.put("b", {"a": np.full(SIZE, 3.0), "b": np.zeros(5)}).torch()
    client.delete("b")
    del given["a"]
    assert client.stats()["retired"] > 0 and given["b"].sum() == 0
    given.clear()
    expect_let_go(client)


# ---------------------------------------------------------------- in every order


@SIZES
def test_every_order_of_dropping(client: tb.Client, size: int) -> None:
    kinds = ("tensor", "slice of an array", "view of torch", "versioned capsule", "memoryview")
    for order in itertools.permutations(kinds):
        tensor = put_and_forget(client, size)
        held = {kind: HOLDERS[kind](tensor) for kind in kinds}
        del tensor
        for dropped in order[:-1]:
            del held[dropped]
        assert client.stats()["retired"] > 0, order
        assert (elements(held[order[-1]]) == 3).all(), order
        held.clear()
        expect_let_go(client)


def test_many_threads_drop_at_once(client: tb.Client) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    names = [name for name in HOLDERS if "OrtValue" not in name]

    def work(worker: int) -> None:
        choose = random.Random(seed + worker)
        held: list[Any] = []
        for _ in range(300):
            held.append(HOLDERS[choose.choice(names)](client.get(f"x{choose.randrange(4)}")))
            if len(held) > 8:
                del held[choose.randrange(8)]
            if choose.random() < 0.05:
                client.put(f"x{choose.randrange(4)}", np.full(choose.choice((16, SIZE)), 3.0))
            holder = held[-1]
            if not hasattr(holder, "__next__") and type(holder).__name__ != "PyCapsule":
                failed.extend([] if (elements(holder) == 3).all() else [type(holder)])

    failed: list[Any] = []
    for i in range(4):
        client.put(f"x{i}", np.full(SIZE, 3.0))
    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == [] and not any(thread.is_alive() for thread in threads)
    for i in range(4):
        client.delete(f"x{i}")
    expect_let_go(client)


def test_reference_cycles(client: tb.Client) -> None:
    class Node:
        def __init__(self, held: Any) -> None:
            self.held, self.myself = held, self

    for name, hold in HOLDERS.items():
        node = Node(hold(put_and_forget(client, SIZE)))
        alive = weakref.ref(node)
        del node
        assert client.stats()["retired"] > 0, name
        gc.collect()
        assert alive() is None
        expect_let_go(client)


# ---------------------------------------------------------------- the end of things


def test_after_the_client_was_closed(broker: Broker) -> None:
    with broker.connect() as other:
        for name, hold in HOLDERS.items():
            client = broker.connect()
            tensor = put_and_forget(client, SIZE)
            holder = hold(tensor)
            client.close()
            del client, tensor
            assert other.stats()["retired"] > 0, name
            assert (elements(holder) == 3).all(), name
            del holder
            expect_let_go(other)


def test_the_session_ends_with_what_it_held(broker: Broker) -> None:
    before = Snapshot.take()
    client = broker.connect()
    kept = [HOLDERS[name](client.put("x", np.full(SIZE, 3.0))) for name in ("array", "torch", "capsule")]
    client.close()
    del client
    assert Snapshot.take().beyond(before) != []
    kept.clear()
    expect_within(20, lambda: Snapshot.take().beyond(before), [])


HELD = f"""
import sys
sys.path.insert(0, {__file__.rpartition("/")[0]!r})
import atexit, os, threading
import torch, tensorbroker as tb, test_lifetimes
tensor = tb.get("x")
def held():
    return [hold(tensor) for hold in test_lifetimes.HOLDERS.values()]
"""
EVERYWHERE = """
kept, torch.kept, sys.kept = held(), held(), held()
atexit.register(lambda at_exit=held(): at_exit.clear())
cycle = [held()]
cycle.append(cycle)
class Late:
    def __init__(self):
        self.kept = held()
    def __del__(self):
        print(self.kept[3][5], flush=True)
late, module_late = Late(), Late()
torch.late = module_late
"""
THREADS = """
def wait_with(kept, seconds):
    threading.Event().wait(seconds)
threading.Thread(target=wait_with, args=(held(), 0.1)).start()
threading.Thread(target=wait_with, args=(held(), None), daemon=True).start()
print("3.0")
"""


@pytest.mark.parametrize(
    "where", [EVERYWHERE, THREADS, "kept = held(); os._exit(0)"], ids=["everywhere", "threads", "_exit"]
)
def test_at_the_end_of_the_interpreter(client: tb.Client, where: str) -> None:
    client.put("x", np.full(SIZE, 3.0))
    assert set(run(HELD + where).split()) <= {"3.0"}  # the status is checked, too
    client.delete("x")
    expect_let_go(client)


# ---------------------------------------------------------------- nothing is left over

LOOPS: dict[str, tuple[int, int, Callable[[tb.Client], Any]]] = {
    "get": (1_000_000, SIZE, lambda c: c.get("x")),
    "array": (300_000, SIZE, lambda c: c.get("x").numpy()),
    "memoryview": (100_000, SIZE, lambda c: memoryview(c.get("x"))),
    "interface": (100_000, SIZE, lambda c: c.get("x").__array_interface__),
    "view": (100_000, SIZE, lambda c: c.get("x")[1:].view(3, -1)),
    "copied torch": (50_000, 16, lambda c: c.get("x").torch()),
    "mapped torch": (20_000, SIZE, lambda c: c.get("x").torch()),
    "capsule": (50_000, 16, lambda c: c.get("x").__dlpack__()),
    "open c": (20_000, SIZE, lambda c: c.open("x", "c")),
    "open r+": (50_000, SIZE, lambda c: c.open("m", "r+").torch()),
    "from_numpy": (100_000, SIZE, lambda c: tb.from_numpy(c.get("x").numpy())),
    "from_dlpack": (50_000, 16, lambda c: tb.from_dlpack(c.get("x").torch())),
    "missing": (200_000, 16, lambda c: c.exists("never")),
}


def resident() -> int:
    """Return the bytes of this process that lie in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def mappings() -> int:
    """Count the memory mappings of this process."""
    with open("/proc/self/maps") as file:
        return len(file.readlines())


@pytest.mark.parametrize("name", list(LOOPS))
def test_nothing_is_left_over(client: tb.Client, name: str) -> None:
    times, size, once = LOOPS[name]
    client.put("x", np.full(size, 3.0))
    client.zeros(size, name="m")
    for _ in range(2000):
        once(client)
    gc.collect()
    before, mapped, memory = Snapshot.take(), mappings(), resident()
    for _ in range(times):
        once(client)
    assert Snapshot.take().beyond(before) == []
    assert mappings() <= mapped + 4  # malloc's
    assert resident() < memory + (8 << 20)
    client.delete("x")
    client.delete("m")
    expect_let_go(client)  # one lease that was lost would keep it
