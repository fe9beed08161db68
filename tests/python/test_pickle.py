"""Pickle sends handles, never bytes; what nobody finds by name is kept on its way."""

import copy
import gc
import pickle
import signal
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
from support import LIMIT, Broker, Program, expect_within, run
from tensorbroker import _default

SEND_AND_END = """
import pickle, tensorbroker as tb
mine = tb.zeros(100_000)
mine[99_999] = 7
print(pickle.dumps((mine, mine[99_990:])).hex(), flush=True)
input()
"""

RECEIVE = """
import pickle, sys, tensorbroker as tb
received = pickle.loads(bytes.fromhex(sys.argv[1]))
received[0] = 5
print(received.tolist())
"""


def is_gone(data: bytes) -> bool:
    """Return whether what was pickled cannot be received any more."""
    try:
        pickle.loads(data)
    except tb.NotFoundError:
        return True
    return False


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_handle_is_sent_and_not_the_bytes(client: tb.Client, protocol: int) -> None:
    tensor = client.put("x", np.zeros(1 << 20), metadata={"step": 1})
    data = pickle.dumps(tensor, protocol)
    assert len(data) < 1000
    received = pickle.loads(data)
    assert received.data_ptr() == tensor.data_ptr()
    assert (received.name, received.version, received.metadata) == ("x", tensor.version, {"step": 1})
    assert received.sealed


def test_views_and_modes(client: tb.Client) -> None:
    mine = client.zeros(4, 6, name="x")
    view = pickle.loads(pickle.dumps(mine[1:, ::2].t()))
    assert (view.shape, view.stride()) == (mine[1:, ::2].t().shape, mine[1:, ::2].t().stride())
    view[2, 0] = 7
    assert mine[1, 4].item() == 7
    reader = pickle.loads(pickle.dumps(client.get("x")))
    with pytest.raises(tb.ReadOnlyError):
        reader[0] = 1
    private = pickle.loads(pickle.dumps(client.open("x", "c")))
    private[0] = 9
    assert mine[0, 0].item() == 0


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,), (3, 4)])
def test_every_shape(client: tb.Client, shape: tuple[int, ...]) -> None:
    for tensor in (client.put("x", np.ones(shape)), client.full(shape, 2.0)):
        received = pickle.loads(pickle.dumps(tensor))
        assert (received.shape, received.tolist()) == (tensor.shape, tensor.tolist())


def test_a_published_draft(client: tb.Client) -> None:
    with client.create("x", (4, 300, 300)) as draft:
        draft[:] = 1
        draft[2] = 2
    assert pickle.loads(pickle.dumps(draft[2])).numpy().min() == 2


def test_what_was_not_published(client: tb.Client) -> None:
    draft = client.create("x", 1)
    for tensor in (tb.from_numpy(np.ones(2)), draft):
        with pytest.raises(RuntimeError, match="publish or put this one first"):
            pickle.dumps(tensor)
    draft.discard()
    with pytest.raises(tb.ClosedError, match="discarded"):
        pickle.dumps(draft)


def test_bundles_and_their_members(client: tb.Client) -> None:
    bundle = client.put("m", {"w": np.ones((300, 300)), "b": [1.0, 2.0]})
    data = pickle.dumps((bundle, bundle["w"][2], bundle["b"]))
    assert len(data) < 2000
    received, row, bias = pickle.loads(data)
    assert (list(received), received.version) == (["w", "b"], bundle.version)
    assert received["w"].data_ptr() == bundle["w"].data_ptr()
    assert row.data_ptr() == bundle["w"][2].data_ptr()
    assert bias.tolist() == [1, 2]


def test_copies_are_no_pickles(client: tb.Client) -> None:
    sealed = client.put("x", [1, 2])
    assert copy.copy(sealed).data_ptr() == sealed.data_ptr()
    assert copy.deepcopy(sealed).data_ptr() != sealed.data_ptr()


def test_what_is_gone(client: tb.Client) -> None:
    data = pickle.dumps(client.put("x", [1]))
    client.delete("x")
    expect_within(LIMIT, lambda: is_gone(data), True)
    with pytest.raises(tb.NotFoundError, match=r"what the handle 'tb://.*' names is gone"):
        pickle.loads(data)
    data = pickle.dumps(client.put("m", {"a": [1]}))
    client.put("m", [2])
    expect_within(LIMIT, lambda: is_gone(data), True)


def test_an_anonymous_tensor_outlives_its_sender(client: tb.Client) -> None:
    data = pickle.dumps(client.full((100_000,), 3.0))

    def receive() -> None:
        others = [client.zeros(100_000) for _ in range(8)]  # would lie where it lay
        assert pickle.loads(data).numpy().min() == 3
        assert others[0].numpy().max() == 0

    receive()
    expect_within(LIMIT, lambda: is_gone(data), True)  # it was received once
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)


def test_each_sending_is_received_once(client: tb.Client) -> None:
    mine = client.full((3,), 3)
    first, second = pickle.dumps(mine), pickle.dumps(mine)
    del mine
    for data in (first, second):
        assert pickle.loads(data).tolist() == [3, 3, 3]
    expect_within(LIMIT, lambda: is_gone(first) and is_gone(second), True)


def test_receiving_again_while_somebody_holds_it(client: tb.Client) -> None:
    mine = client.zeros(3)
    data = pickle.dumps(mine)
    copies = [pickle.loads(data) for _ in range(3)]
    copies[0][1] = 5
    assert [received.tolist() for received in (mine, *copies)] == [[0, 5, 0]] * 4


def test_what_was_replaced_while_it_was_held(client: tb.Client) -> None:
    old = client.put("m", {"a": np.full(50_000, 1)})
    client.put("m", {"a": np.full(50_000, 2)})
    data = pickle.dumps((old, old["a"]))
    del old
    gc.collect()
    client.put("m", {"a": np.full(50_000, 3)})
    bundle, member = pickle.loads(data)
    assert bundle["a"].numpy().max() == member.numpy().max() == 1


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
def test_a_sender_that_is_gone(client: tb.Client, program: Callable[..., Program], killed: bool) -> None:
    sessions = client.stats()["sessions"]
    sender = program(SEND_AND_END)
    data = bytes.fromhex(sender.read())
    if killed:
        sender.kill()
    else:
        sender.write()
        sender.finish()
    expect_within(LIMIT, lambda: client.stats()["sessions"], sessions)
    whole, part = pickle.loads(data)
    assert whole[99_999].item() == part[9].item() == 7
    part[9] = 8
    assert whole[99_999].item() == 8
    del whole, part
    expect_within(LIMIT, lambda: is_gone(data), True)


def test_between_two_processes(client: tb.Client) -> None:
    mine = client.zeros(3)
    assert run(RECEIVE, pickle.dumps(mine).hex()) == "[5.0, 0.0, 0.0]\n"
    assert mine.tolist() == [5, 0, 0]


def test_a_broker_that_is_killed_meanwhile(broker: Broker) -> None:
    with broker.connect(timeout=LIMIT) as client:
        data = pickle.dumps(client.full((3,), 4))
        broker.signal(signal.SIGKILL)
        broker.start()
        client.put("x", [1])  # the session is back
        assert pickle.loads(data).tolist() == [4, 4, 4]


def test_an_instance_that_ended_meanwhile(broker: Broker) -> None:
    with broker.connect(timeout=LIMIT) as client:
        data = pickle.dumps(client.put("x", [1]))
        broker.signal(signal.SIGTERM)
        broker.start()
        client.put("x", [1])
        with pytest.raises(tb.NotFoundError, match="that instance ended, and another of its name began"):
            pickle.loads(data)


def test_nothing_is_sent_through_a_closed_client(broker: Broker) -> None:
    client = broker.connect()
    mine = client.zeros(3)
    client.close()
    with pytest.raises(tb.ClosedError, match="connect again"):
        pickle.dumps(mine)


def test_pickles_that_were_tampered_with(client: tb.Client) -> None:
    rebuild: Any
    rebuild, (handle, token, *geometry) = client.put("x", [1.0, 2.0]).__reduce__()
    assert rebuild(handle, token, *geometry).tolist() == [1, 2]
    dtype, _, sizes, strides = geometry
    with pytest.raises(ValueError, match="inside a storage of 64 bytes"):
        rebuild(handle, token, dtype, 0, (1000,), strides)
    with pytest.raises(ValueError, match="does not fit"):
        rebuild(handle, token, dtype, 1 << 40, sizes, strides)
    with pytest.raises(ValueError, match="is not a handle"):
        rebuild(handle[:-4], token, *geometry)
    with pytest.raises(tb.BrokerUnavailableError, match="no-such-instance"):
        rebuild("tb://no-such-instance/0000000000000000/1.1.r", token, *geometry)


@pytest.mark.parametrize("wrong", [None, 5, b"tb://x"])
def test_a_handle_of_another_type(wrong: Any) -> None:
    for receive in (
        _default.receive,
        lambda handle, token: _default.receive_view(handle, token, "uint8", 0, (1,), (1,)),
    ):
        with pytest.raises(TypeError, match="a handle is a str that begins with tb://, not "):
            receive(wrong, 0)


def test_multiprocessings_own_pickler(client: tb.Client) -> None:
    tensor = client.put("x", [1, 2])
    assert pickle.loads(ForkingPickler.dumps(tensor)).data_ptr() == tensor.data_ptr()
