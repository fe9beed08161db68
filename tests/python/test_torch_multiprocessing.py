"""torch tensors over broker memory through torch.multiprocessing: the same pages on both sides, nobody's moved."""

import multiprocessing.context
import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest
import tensorbroker as tb
import torch
import torch.multiprocessing
from support import LIMIT, Broker, run, stop_helpers
from torch import nn

BaseContext = multiprocessing.context.BaseContext

SIZE = 50_000


def described(sent: torch.Tensor) -> tuple[Any, ...]:
    """Say everything that must be the same on the other side."""
    layout = tuple(sent.shape), sent.stride(), sent.storage_offset(), sent.untyped_storage().nbytes()
    return type(sent).__name__, str(sent.dtype), sent.requires_grad, layout, sent.tolist()


def answer(inbox: Any, outbox: Any) -> None:
    """Describe what comes in, fill it with 9 and send it back, until None comes."""
    torch.set_num_threads(1)  # a forked child has none of the threads that torch believes it has, and waits for them
    while (sent := inbox.get(timeout=LIMIT)) is not None:
        outbox.put(described(sent))
        sent.data.fill_(9)
        outbox.put(sent)
        del sent


def kinds(client: tb.Client) -> list[torch.Tensor]:
    """Make torch tensors over mutable broker tensors, of every kind that must survive."""
    matrix = client.zeros(4, 6, name="matrix")
    return [
        client.full((SIZE,), 2).torch(),
        torch.from_dlpack(client.ones(3)),
        matrix.torch()[1:, ::2].t(),  # a view by torch
        matrix[1:, ::2].t().torch(),  # a view by the broker's tensor
        client.ones(4)[1:].torch(),
        client.tensor([1, 2, 3]).torch()[1],
        client.ones(4, dtype=tb.float32).torch().view(torch.int32),
        nn.Parameter(client.ones(2).torch()),
        client.ones(2).torch().requires_grad_(),
    ]


def test_every_kind_both_ways(client: tb.Client, context: BaseContext) -> None:
    inbox, outbox = context.Queue(), context.Queue()
    process = context.Process(target=answer, args=(inbox, outbox))
    process.start()
    for sent in kinds(client):
        before, pointer = described(sent), sent.data_ptr()
        inbox.put(sent)
        assert outbox.get(timeout=LIMIT) == before
        back = outbox.get(timeout=LIMIT)
        assert sent.data_ptr() == back.data_ptr() == pointer
        assert described(back) == described(sent)
        assert sent.min() == sent.max() == 9
    inbox.put(None)
    process.join(LIMIT)
    assert process.exitcode == 0
    process.close()
    for queue in (inbox, outbox):
        queue.close()
        queue.join_thread()


def train(model: nn.Module) -> None:
    """Do one step in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)


def test_a_model_that_processes_train_together(client: tb.Client, context: BaseContext) -> None:
    model = nn.Linear(3, 2)
    weight, bias = client.zeros(2, 3, name="weight"), client.zeros(2, name="bias")
    model.weight, model.bias = nn.Parameter(weight.torch()), nn.Parameter(bias.torch())
    for _ in range(2):
        process = context.Process(target=train, args=(model,))
        process.start()
        process.join(LIMIT)
        assert process.exitcode == 0
        process.close()
    assert model.weight.detach().tolist() == weight.tolist() == [[2, 2, 2], [2, 2, 2]]
    assert client.get("bias").tolist() == [2, 2]


def spoil(inbox: Any, outbox: Any) -> None:
    """Check that private pages came as their sender saw them, and write to them."""
    torch.set_num_threads(1)
    sent = inbox.get(timeout=LIMIT)
    outbox.put((sent[0].item(), sent[1].item()))
    sent[1] = 8
    outbox.put(None)
    inbox.get(timeout=LIMIT)


@pytest.mark.parametrize("size", [8, SIZE])  # copied, and mapped copy-on-write
def test_private_pages_are_sent_as_torch_sends(client: tb.Client, context: BaseContext, size: int) -> None:
    sealed = client.put("x", torch.ones(size))
    mine, other = sealed.torch(), sealed.torch()
    mine[0] = 7
    inbox, outbox = context.Queue(), context.Queue()
    process = context.Process(target=spoil, args=(inbox, outbox))
    process.start()
    inbox.put(mine)
    assert outbox.get(timeout=LIMIT) == (7, 1)  # what its sender saw
    assert outbox.get(timeout=LIMIT) is None
    assert mine[:3].tolist() == [7, 8, 1]  # shared from now on, as torch's are
    assert other[:3].tolist() == [7, 1, 1]  # mine left the pages that they shared
    assert client.get("x").numpy().max() == client.get("x").numpy().min() == 1
    inbox.put(None)
    process.join(LIMIT)
    process.close()
    for queue in (inbox, outbox):
        queue.close()
        queue.join_thread()


@pytest.mark.parametrize("dtype", ["bool", "int64", "bfloat16", "complex64", "float8_e4m3fn"])
def test_the_handle_is_sent_whatever_the_dtype(client: tb.Client, dtype: str) -> None:
    tensor = client.zeros(SIZE, dtype=dtype)
    data = ForkingPickler.dumps(tensor.torch())
    assert len(data) < 1500
    received = pickle.loads(data)
    assert received.dtype == getattr(torch, dtype)
    assert received.data_ptr() == tensor.data_ptr()


def test_what_shares_a_storage_still_does(client: tb.Client) -> None:
    whole = client.zeros(6).torch()
    first, second = pickle.loads(ForkingPickler.dumps((whole, whole[2:])))
    assert first.untyped_storage()._cdata == second.untyped_storage()._cdata
    assert (second.storage_offset(), second.data_ptr()) == (2, whole[2:].data_ptr())


def test_memory_that_is_no_brokers_is_left_to_torch(client: tb.Client) -> None:
    client.zeros(3).torch()
    try:
        mine = torch.arange(5.0)
        received = pickle.loads(ForkingPickler.dumps(mine))
        mine[0] = 7
        assert mine.is_shared() and received.tolist() == [7, 1, 2, 3, 4]
        for other in (client.zeros(0, 3).torch(), torch.zeros(0), torch.zeros(2, device="meta")):
            assert pickle.loads(ForkingPickler.dumps(other)).shape == other.shape
        with pytest.raises(RuntimeError, match="non-leaf"):
            ForkingPickler.dumps(client.ones(2).torch().requires_grad_() * 2)
    finally:
        del mine, received
        stop_helpers()


def test_a_draft_is_not_sent_before_its_publication(client: tb.Client) -> None:
    draft = client.create("x", 4)
    mine = draft.torch()
    with pytest.raises(RuntimeError, match="publish or put this one first"):
        ForkingPickler.dumps(mine)
    mine.fill_(3)
    draft.publish()
    assert pickle.loads(ForkingPickler.dumps(mine)).tolist() == [3, 3, 3, 3]
    assert client.get("x").tolist() == [3, 3, 3, 3]


def test_a_closed_client_sends_nothing(broker: Broker) -> None:
    client = broker.connect()
    mine = client.zeros(3).torch()
    client.close()
    pointer = mine.data_ptr()
    with pytest.raises(tb.ClosedError, match="connect again"):
        ForkingPickler.dumps(mine)
    assert mine.data_ptr() == pointer


ORDERS = """
import tensorbroker as tb
held = tb.zeros(50_000, name="x")
held.__dlpack__()
from multiprocessing.reduction import ForkingPickler
import torch
assert torch.UntypedStorage in ForkingPickler._extra_reducers
mine = {expression}
print(len(ForkingPickler.dumps(mine)) < 1500, mine.data_ptr() == held.data_ptr())
"""


@pytest.mark.parametrize("expression", ["held.torch()", "torch.from_dlpack(held)"])
def test_torch_is_taught_whenever_it_comes(client: tb.Client, expression: str) -> None:
    assert run(ORDERS.format(expression=expression)) == "True True\n"
