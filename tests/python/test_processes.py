"""Many processes: fork, death of clients, death of the broker."""

import gc
import os
import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest
import tensorbroker as tb
from support import LIMIT, Broker, Program, expect_within, run


def in_child(function: Callable[[], None]) -> int:
    """Fork, run the function in the child, return its status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_keeps_what_its_parent_held(client: tb.Client) -> None:
    tensor = client.put("x", np.arange(100000))
    mutable = client.zeros(3, name="m")
    array = tensor.numpy()

    def child() -> None:
        assert array[99999] == tensor[99999].item() == 99999
        client.delete("x")
        for _ in range(4):
            client.put("y", np.zeros(100000, np.int64))
        assert array[99999] == 99999
        mutable[1] = 5
        assert tb.put("from child", [1]).version > 0

    assert in_child(child) == 0
    assert mutable[1].item() == 5
    assert array[99999] == 99999
    assert client.get("from child").tolist() == [1]


def test_a_childs_exit_never_releases_its_parents_leases(client: tb.Client) -> None:
    tensor = client.put("x", np.full(100000, 7))
    for _ in range(3):
        assert in_child(lambda: None) == 0
    client.delete("x")
    for _ in range(4):
        client.put("y", np.zeros(100000, np.int64))
    assert tensor.numpy().min() == 7


def test_a_draft_stays_with_its_process(client: tb.Client) -> None:
    draft = client.create("x", 3)

    def child() -> None:
        with pytest.raises(RuntimeError, match="belongs to the process"):
            draft.publish()

    assert in_child(child) == 0
    draft[:] = 1
    draft.publish()
    assert client.get("x").tolist() == [1, 1, 1]


def test_fork_while_threads_read(client: tb.Client) -> None:
    for i in range(20):
        client.put(f"x{i}", np.full(10, i))
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            for i in range(20):
                assert client.get(f"x{i}").numpy()[9] == i

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(lambda: [client.get(f"x{i}").numpy()[9] == i or os.abort() for i in range(20)]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


HOLDER = """
import time, numpy as np, tensorbroker as tb
held = tb.get("x").numpy()
draft = tb.create("draft", (1 << 20,), tb.uint8)
print("held", flush=True)
time.sleep(60)
"""


def test_a_killed_client_frees_what_it_held(client: tb.Client, program: Callable[..., Program]) -> None:
    client.put("x", np.ones(1 << 20, np.uint8))
    sessions = client.stats()["sessions"]
    gc.collect()
    holder = program(HOLDER)
    assert holder.read() == "held"
    assert client.stats()["sessions"] == sessions + 1
    client.delete("x")
    assert client.stats()["retired"] >= 1 << 20
    holder.kill()
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)
    assert client.stats()["sessions"] == sessions


READER = """
import sys, numpy as np, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=False, timeout=30)
held = client.get("x").numpy()
while True:
    for i in range(100):
        assert client.get("x").numpy().min() == client.get("x").numpy().max() == 7
    assert held.max() == 7
    print("read", flush=True)
    if input() == "end":
        break
print(client.wait("next", timeout=30).tolist(), flush=True)
"""


def test_a_killed_brokers_successor_adopts_everything(broker: Broker, program: Callable[..., Program]) -> None:
    rng = np.random.default_rng(1)
    with broker.connect(timeout=LIMIT) as client:
        arrays = {f"a{i}": rng.integers(0, 255, 10_000 * (i + 1), dtype=np.uint8) for i in range(8)}
        held = {name: client.put(name, array, metadata={"n": name}) for name, array in arrays.items()}
        client.put("x", np.full(100_000, 7))
        client.put("m", {"p": [1, 2], "q": [3.0]})
        counter = client.zeros(3, name="counter")
        draft = client.create("drafted", (1000,), tb.uint8)
        draft[:] = 9
        versions = {info.name: info.version for info in client.list()}
        reader = program(READER, broker.instance, broker.runtime_dir)
        assert reader.read() == "read"

        broker.signal(signal.SIGKILL)
        reader.write()
        assert reader.read() == "read"  # without a broker
        assert client.get("a3").numpy().tobytes() == arrays["a3"].tobytes()
        counter[0] = 5

        broker.start()
        client.put("next", [1, 2])
        assert {info.name: info.version for info in client.list() if info.name != "next"} == versions
        for name, array in arrays.items():
            assert client.get(name).numpy().tobytes() == array.tobytes()
            assert client.get(name).data_ptr() == held[name].data_ptr()
            assert client.get(name).metadata == {"n": name}
        assert client.get("m")["q"].item() == 3
        assert client.get("counter").tolist() == [5, 0, 0]
        draft.publish()
        assert client.get("drafted").numpy().min() == 9
        assert client.put("later", [1]).version > max(versions.values())
        reader.write("end")
        assert reader.read() == "[1, 2]"
        reader.finish()
        del held, counter, draft


def test_put_while_the_broker_is_away(broker: Broker) -> None:
    with broker.connect(timeout=LIMIT) as client:
        client.put("x", [1])
        broker.signal(signal.SIGKILL)
        starter = threading.Timer(0.3, broker.start)
        starter.start()
        assert client.put("x", [2]).tolist() == [2]
        starter.join()
        assert client.get("x").tolist() == [2]


def test_no_successor_comes(broker: Broker) -> None:
    with broker.connect(timeout=0.5) as client:
        kept = client.put("x", [1])
        broker.signal(signal.SIGKILL)
        with pytest.raises(tb.BrokerUnavailableError):
            client.put("y", [2])
        assert client.get("x").tolist() == kept.tolist() == [1]


def test_an_orderly_end_leaves_what_is_held_readable(broker: Broker) -> None:
    with broker.connect(timeout=LIMIT) as client:
        held = client.put("x", np.full(100_000, 7))
        broker.signal(signal.SIGTERM)
        assert held.numpy().min() == 7
        broker.start()
        with pytest.raises(tb.NotFoundError):
            client.get("x")
        assert client.put("x", [1]).version > held.version
        assert held.numpy().min() == 7
        held.release()


def test_waiting_goes_on_across_a_successor(broker: Broker) -> None:
    with broker.connect(timeout=LIMIT) as client:
        old = client.put("x", [1])
        results: list[tb.Tensor] = []
        thread = threading.Thread(target=lambda: results.append(client.wait("x", old.version, timeout=LIMIT)))
        thread.start()
        broker.signal(signal.SIGKILL)
        broker.start()
        client.put("x", [2])
        thread.join(LIMIT)
        assert results[0].tolist() == [2]
        results.clear()


def test_writers_in_two_processes(client: tb.Client) -> None:
    code = """
import sys, tensorbroker as tb
for i in range(200):
    tb.put("shared", [i] * 1000)
    tb.put(f"own/{sys.argv[1]}", [i])
"""
    other = Program(code, "b")
    with other:
        run(code, "a")
        other.finish()
    assert client.get("own/a").tolist() == client.get("own/b").tolist() == [199]
    assert client.get("shared").tolist() == [199] * 1000
