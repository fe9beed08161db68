"""What is sent to a process that ends, has no client, or finds no broker."""

import gc
import os
import pickle
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
from support import INSTANCE_PREFIX, LIMIT, Broker, Program, expect_within, run


def hold_and_exit(inbox: Any, outbox: Any) -> None:
    """Receive, and end without any farewell."""
    held = inbox.get(timeout=LIMIT)
    outbox.put(held.tolist())
    outbox.close()
    outbox.join_thread()
    os._exit(3)


def test_a_child_that_ends_at_once(client: tb.Client, context: BaseContext) -> None:
    inbox, outbox = context.Queue(), context.Queue()
    sessions = client.stats()["sessions"]
    process = context.Process(target=hold_and_exit, args=(inbox, outbox))
    process.start()
    mine = client.full((4,), 2)
    inbox.put(mine)
    assert outbox.get(timeout=LIMIT) == [2, 2, 2, 2]
    process.join(LIMIT)
    assert process.exitcode == 3
    process.close()
    expect_within(LIMIT, lambda: client.stats()["sessions"], sessions)
    assert mine.tolist() == [2, 2, 2, 2]
    del mine
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)
    for queue in (inbox, outbox):
        queue.close()
        queue.join_thread()


RECEIVER = """
import pickle, sys, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=False, timeout=30)
print("ready", flush=True)
for line in sys.stdin:
    received = pickle.loads(bytes.fromhex(line))
    assert received[0].item() == 3
    print("received", flush=True)
"""


def test_a_child_that_is_killed_while_it_receives(broker: Broker, program: Callable[..., Program]) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    with broker.connect(timeout=LIMIT) as client:
        for _ in range(8):
            receiver = program(RECEIVER, broker.instance, broker.runtime_dir)
            assert receiver.read() == "ready"
            held = [client.full((1_000,), 3) for _ in range(200)]
            for tensor in held:
                receiver.write(pickle.dumps(tensor).hex())
            assert receiver.read() == "received"
            time.sleep(dice.random() / 50)
            receiver.kill()
            assert all(tensor.numpy().min() == 3 for tensor in held)
        expect_within(LIMIT, lambda: client.stats()["sessions"], 1)
        last = client.full((1_000,), 4)
        assert pickle.loads(pickle.dumps(last)).numpy().max() == 4
        del held, tensor, last


def receive(data: bytes, outbox: Any) -> None:
    """Say what was received, or why not."""
    try:
        outbox.put(pickle.loads(data).tolist())
    except tb.Error as error:
        outbox.put((type(error), str(error)))


def received_in(context: BaseContext, data: bytes) -> Any:
    """Receive in a process."""
    outbox = context.Queue()
    process = context.Process(target=receive, args=(data, outbox))
    process.start()
    result = outbox.get(timeout=LIMIT)
    process.join(LIMIT)
    assert process.exitcode == 0
    process.close()
    outbox.close()
    outbox.join_thread()
    return result


def test_a_child_whose_parents_client_was_closed(broker: Broker, context: BaseContext) -> None:
    with broker.connect() as other:
        client = broker.connect()
        data = pickle.dumps(client.put("x", np.arange(4)))
        anonymous = pickle.dumps(client.ones(2))
        client.close()
        gc.collect()
        assert other.get("x").tolist() == [0, 1, 2, 3]
    assert received_in(context, data) == [0, 1, 2, 3]
    assert received_in(context, anonymous) == [1, 1]


def test_a_broker_that_is_not_there(broker: Broker, context: BaseContext) -> None:
    client = broker.connect()
    data = pickle.dumps(client.put("x", [1]))
    client.close()
    del client
    gc.collect()
    broker.signal(signal.SIGKILL)
    error, message = received_in(context, data)
    assert error is tb.BrokerUnavailableError
    assert broker.instance in message


WITHOUT_A_CLIENT = """
import os, pickle, sys
import tensorbroker as tb
received = pickle.loads(bytes.fromhex(sys.argv[1]))
received[0] = 5
print(received.tolist(), tb.get("named").tolist())
"""


def test_a_receiver_that_never_connected(client: tb.Client) -> None:
    mine = client.zeros(2, name="named")
    assert run(WITHOUT_A_CLIENT, pickle.dumps(mine).hex()) == "[5.0, 0.0] [5.0, 0.0]\n"


def test_a_receiver_of_another_default_instance(client: tb.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = client.zeros(2)
    monkeypatch.setenv("TENSORBROKER_INSTANCE", f"{INSTANCE_PREFIX}nobody")
    code = "import pickle, sys, tensorbroker; print(pickle.loads(bytes.fromhex(sys.argv[1])).tolist())"
    assert run(code, pickle.dumps(mine).hex()) == "[0.0, 0.0]\n"
