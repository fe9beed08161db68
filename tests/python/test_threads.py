"""Many threads on the default client, and the executor of threads."""

import concurrent.futures
import pickle
import threading

import numpy as np
import tensorbroker as tb
from support import LIMIT, expect_within

THREADS = 8
STEPS = 1_500
NAMES = [f"shared/{i}" for i in range(4)]
SIZES = (3, 1_000, 20_000)  # the last is more than 64 KiB


def check(tensor: tb.Tensor) -> None:
    """Check that no element is of another version than the first."""
    array = tensor.numpy()
    assert array.min() == array.max()


def put(rng: np.random.Generator, name: str) -> None:
    """Replace what the name denotes."""
    check(tb.put(name, np.full(rng.choice(SIZES), rng.integers(1000))))


def get(rng: np.random.Generator, name: str) -> None:
    """Look at it in several ways, some of which outlive the tensor."""
    tensor = tb.get(name)
    views = [tensor[1:], tensor[::2], tensor.view(-1, 1).t()]
    array, private = tensor[2:].numpy(), tensor.torch()
    tensor.release()
    for view in views:
        check(view)
    assert array.min() == array.max() == private.min() == private.max()


def send(rng: np.random.Generator, name: str) -> None:
    """Send what is anonymous, and receive it."""
    mine = tb.full((5,), int(rng.integers(1000)))
    received = pickle.loads(pickle.dumps(mine[1:]))
    received[0] = -1
    assert mine[1].item() == -1


def remove(rng: np.random.Generator, name: str) -> None:
    """Delete it from under the others."""
    tb.delete(name)


def look_around(rng: np.random.Generator, name: str) -> None:
    """List, and write through a draft."""
    assert all(info.name in NAMES for info in tb.list("shared/"))
    with tb.create(name, 100, tb.int64) as draft:
        draft.numpy()[:] = rng.integers(1000)


def work(seed: int, number: int, start: threading.Barrier) -> None:
    """Do one thread's share of operations."""
    rng = np.random.default_rng([seed, number])
    start.wait(LIMIT)
    operations = [put, get, get, get, send, remove, look_around]
    for _ in range(STEPS):
        try:
            operations[rng.integers(len(operations))](rng, NAMES[rng.integers(len(NAMES))])
        except tb.NotFoundError:
            continue  # another thread deleted it


def test_threads_at_everything_at_once(client: tb.Client, rng: np.random.Generator) -> None:
    seed = int(rng.integers(2**32))
    start = threading.Barrier(THREADS)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as executor:
        futures = [executor.submit(work, seed, number, start) for number in range(THREADS)]
        for future in futures:
            future.result(LIMIT * 2)
    for name in NAMES:
        if tb.exists(name):
            tb.delete(name)
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)
    expect_within(LIMIT, lambda: client.stats()["live"], 0)


def test_one_tensor_and_many_threads(client: tb.Client) -> None:
    sealed, mutable = client.put("x", np.arange(1_000)), client.zeros(THREADS * 50)
    pointers = {sealed.data_ptr()}

    def write(number: int) -> int:
        for i in range(number * 50, number * 50 + 50):
            mutable[i] = sealed[i].item()
        return tb.get("x").data_ptr()

    with concurrent.futures.ThreadPoolExecutor(THREADS) as executor:
        pointers.update(executor.map(write, range(THREADS)))
    assert len(pointers) == 1  # nothing is sent: threads have the same object
    assert mutable.tolist() == list(range(THREADS * 50))


def test_one_object_is_released_by_many_threads(client: tb.Client) -> None:
    start = threading.Barrier(THREADS)

    def end(tensor: tb.Tensor) -> bool:
        start.wait(LIMIT)
        try:
            check(tensor[1:])
        except tb.ClosedError:
            return False
        finally:
            tensor.release()
        return True

    with concurrent.futures.ThreadPoolExecutor(THREADS) as executor:
        for _ in range(50):
            tensor = client.put("x", np.ones(100))
            list(executor.map(end, [tensor] * THREADS))
    del tensor
    client.delete("x")
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)
