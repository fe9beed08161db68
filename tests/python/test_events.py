"""events(): publications and deletions in their order, within a process and across two."""

import signal
import threading
from collections.abc import Callable

import pytest
import tensorbroker as tb
from support import LIMIT, Broker, Program, expect_within

PUT_AND_DELETE = """
import tensorbroker as tb
for i in range(100):
    tb.put(f"model/{i}", [i])
    tb.put("other", [i])
    if i % 2:
        tb.delete(f"model/{i}")
"""


def test_what_happens_here(client: tb.Client) -> None:
    events = client.events("m/", timeout=LIMIT)
    put = client.put("m/x", [1])
    client.put("n/x", [1])
    client.put("m/ü", {"a": [1]})
    client.delete("m/x")
    seen = [next(events) for _ in range(3)]
    assert [(e.kind, e.name) for e in seen] == [("publish", "m/x"), ("publish", "m/ü"), ("delete", "m/x")]
    assert seen[0].version == seen[2].version == put.version
    assert repr(seen[0]) == f"Event('publish', 'm/x', version={put.version})"


def test_what_another_process_does(client: tb.Client, program: Callable[..., Program]) -> None:
    events = client.events("model/", timeout=LIMIT)
    writer = program(PUT_AND_DELETE)
    seen = [next(events) for _ in range(150)]
    writer.finish()
    expected = []
    for i in range(100):
        expected += [("publish", f"model/{i}"), *([("delete", f"model/{i}")] if i % 2 else [])]
    assert [(e.kind, e.name) for e in seen] == expected
    assert {e.name for e in seen if e.kind == "publish"} - {e.name for e in seen if e.kind == "delete"} == {
        info.name for info in client.list("model/")
    }


def test_who_is_too_slow_lists_again(client: tb.Client) -> None:
    events = client.events(timeout=0)
    for _ in range(1100):
        client.put("x", [1])
    event = next(events)
    assert (event.kind, event.name, event.version, repr(event)) == ("overflow", "", 0, "Event('overflow')")
    with pytest.raises(TimeoutError, match="no publication or deletion"):
        next(events)
    assert client.exists("x")
    client.delete("x")
    assert next(events).kind == "delete"


def test_a_successor(broker: Broker) -> None:
    with broker.connect(timeout=LIMIT) as client:
        events = client.events(timeout=LIMIT)
        client.put("x", [1])
        broker.signal(signal.SIGKILL)
        broker.start()
        client.put("y", [1])
        assert [next(events).kind for _ in range(2)] == ["publish", "overflow"]


def test_one_thread_at_a_time(client: tb.Client) -> None:
    events = client.events(timeout=LIMIT)
    seen: list[object] = []

    def read() -> None:
        try:
            seen.append(next(events).name)
        except RuntimeError as error:
            seen.append(str(error))

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    expect_within(LIMIT, lambda: len(seen), 1)  # the second one is refused while the first one sleeps
    client.put("x", [1])
    for thread in threads:
        thread.join(LIMIT)
    assert seen == ["another thread is reading these events: call events() once for each thread", "x"]


def test_closing_the_client_ends_it(broker: Broker) -> None:
    client = broker.connect()
    events = client.events()
    threading.Timer(0.05, client.close).start()
    with pytest.raises(tb.ClosedError):
        next(events)


def test_bad_arguments(client: tb.Client) -> None:
    with pytest.raises(ValueError, match="255"):
        client.events("x" * 256)
    with pytest.raises(TypeError):
        client.events(5)  # type: ignore[arg-type]
