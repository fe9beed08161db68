"""Tensors through multiprocessing and concurrent.futures: queues, pipes, pools, arguments and results."""

import concurrent.futures
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from multiprocessing.pool import Pool
from typing import Any

import numpy as np
import pytest
import tensorbroker as tb
from support import LIMIT, expect_within

SIZE = 50_000  # elements: more than a pipe takes at once


def told(sent: Any) -> Any:
    """Say what was received: the elements, and what the broker knows of them."""
    if isinstance(sent, tb.Bundle):
        return {name: told(member) for name, member in sent.items()}, sent.version
    return sent.numpy().tolist(), sent.version, sent.sealed, sent.mutable, sent.stride()


def answer(inbox: Any, outbox: Any) -> None:
    """Tell of what comes in, and send it back, until None comes. What can be written is written."""
    while (sent := inbox.get(timeout=LIMIT)) is not None:
        outbox.put(told(sent))
        if isinstance(sent, tb.Tensor) and sent.mutable:
            sent[0] = 5
        outbox.put(sent)
        del sent


@contextmanager
def answering(context: BaseContext) -> Iterator[tuple[Any, Any]]:
    """Run answer() in a process."""
    inbox, outbox = context.Queue(), context.Queue()
    process = context.Process(target=answer, args=(inbox, outbox))
    process.start()
    try:
        yield inbox, outbox
        inbox.put(None)
        process.join(LIMIT)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()
        for queue in (inbox, outbox):
            queue.close()
            queue.join_thread()


def run_child(context: BaseContext, target: Any, *arguments: Any) -> None:
    """Run a function in a process, which must end well."""
    process = context.Process(target=target, args=arguments)
    process.start()
    process.join(LIMIT)
    try:
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()


@contextmanager
def pool_of(context: BaseContext) -> Iterator[Pool]:
    """Run a pool of two, which ends in good order."""
    with context.Pool(2) as pool:
        yield pool
        pool.close()
        pool.join()


def test_queues_both_ways(client: tb.Client, context: BaseContext) -> None:
    bundle = client.put("m", {"w": np.arange(6.0).reshape(2, 3), "b": [1, 2]})
    sealed = client.put("x", np.arange(SIZE))
    matrix = client.full((4, 6), 2.0)
    sessions = client.stats()["sessions"]
    with answering(context) as (inbox, outbox):
        for sent in (sealed, sealed[3::2], bundle, bundle["w"].t(), client.zeros(3, name="named"), matrix[1:, ::2].t()):
            before = told(sent)
            inbox.put(sent)
            assert outbox.get(timeout=LIMIT) == before
            back = outbox.get(timeout=LIMIT)
            assert told(back) == told(sent)
            if isinstance(sent, tb.Tensor):
                assert back.data_ptr() == sent.data_ptr()
                assert not sent.mutable or sent[0].numpy().min() == 5  # written there, seen here
    expect_within(LIMIT, lambda: client.stats()["sessions"], sessions)


def exchange(pipe: Any) -> None:
    """Write to what comes through the pipe as often as told so."""
    tensor = pipe.recv()
    while (value := pipe.recv()) is not None:
        assert tensor[1].item() == value
        tensor[0] = value
        pipe.send(value)


@pytest.mark.parametrize("name", [None, "x"])
def test_a_pipe_and_writes_on_both_sides(client: tb.Client, context: BaseContext, name: str | None) -> None:
    mine = client.zeros(SIZE, name=name)
    here, there = context.Pipe()
    process = context.Process(target=exchange, args=(there,))
    process.start()
    here.send(mine)
    for value in (3, 4):
        mine[1] = value
        here.send(value)
        assert here.poll(LIMIT) and here.recv() == value
        assert mine[0].item() == value
    here.send(None)
    process.join(LIMIT)
    assert process.exitcode == 0
    process.close()
    here.close()
    there.close()


def write_first(mine: tb.Tensor, view: tb.Tensor, bundle: tb.Bundle, value: float) -> None:
    """Write what the view and the bundle say."""
    mine[0] = value
    view[-1] = bundle["w"][1].item()


def test_arguments_of_a_process(client: tb.Client, context: BaseContext) -> None:
    mine = client.zeros(10)
    run_child(context, write_first, mine, mine[2:6], client.put("m", {"w": [7.0, 8.0]}), 3.0)
    assert mine.tolist() == [3, 0, 0, 0, 0, 8, 0, 0, 0, 0]


def doubled(sent: tb.Tensor) -> tb.Tensor:
    """Return a tensor that nobody else holds."""
    return tb.tensor(sent.numpy() * 2)


def test_a_pools_arguments_and_results(client: tb.Client, context: BaseContext) -> None:
    sealed = client.put("x", np.arange(SIZE))
    with pool_of(context) as pool:
        sent = [sealed, sealed[10:], client.full((SIZE,), 4)]
        received = pool.map(doubled, sent)
    del pool
    for before, after in zip(sent, received):
        assert np.array_equal(after.numpy(), before.numpy() * 2)
    del sent, received, before, after  # an anonymous tensor counts as retired while it is held
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)


def test_an_executors_arguments_and_results(client: tb.Client, context: BaseContext) -> None:
    bundle = client.put("m", {"a": np.arange(SIZE), "b": [1.0]})
    sessions = client.stats()["sessions"]
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        results = list(executor.map(doubled, [bundle["a"], bundle["b"], client.ones(3)], timeout=LIMIT))
    assert [result[-1].item() for result in results] == [2 * (SIZE - 1), 2, 2]
    del results, executor
    gc.collect()
    expect_within(LIMIT, lambda: client.stats()["sessions"], sessions)
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)


def put_and_end(outbox: Any) -> None:
    """Send what this process alone holds, drop it, and end."""
    mine = tb.full((SIZE,), 3.0)
    outbox.put(mine)
    outbox.put(mine[10:20])
    del mine
    outbox.close()
    outbox.join_thread()
    gc.collect()
    for _ in range(4):
        tb.zeros(SIZE)  # would lie where it lay


def test_what_nobody_holds_outlives_its_sender(client: tb.Client, context: BaseContext) -> None:
    outbox = context.Queue()
    sessions = client.stats()["sessions"]
    run_child(context, put_and_end, outbox)
    expect_within(LIMIT, lambda: client.stats()["sessions"], sessions)
    others = [client.zeros(SIZE) for _ in range(4)]
    whole, part = outbox.get(timeout=LIMIT), outbox.get(timeout=LIMIT)
    assert whole.numpy().min() == part.numpy().min() == 3
    part[0] = 1
    assert whole[10].item() == 1 and others[0].numpy().max() == 0
    del whole, part, others
    expect_within(LIMIT, lambda: client.stats()["retired"], 0)  # each was received once
    outbox.close()
    outbox.join_thread()
