"""Fixtures: a real broker for all tests, brokers of a test's own, programs, and the check for what a test leaves.

The brokers are those of the installed package. Nothing here is shared with the user's own instances.
"""

import contextlib
import importlib
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import support
import tensorbroker as tb
import torch

assert torch.tensor([1]).numpy()[0] == 1  # opens what torch opens once


@pytest.fixture(scope="session")
def runtime_dir() -> Iterator[str]:
    """Give a directory whose path is short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="tb-pytest-", dir="/tmp")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session", autouse=True)
def shared_broker(runtime_dir: str) -> Iterator[support.Broker]:
    """Run the broker that most tests use; it is the default instance of this process and of its children."""
    broker = support.Broker(f"{support.INSTANCE_PREFIX}shared", runtime_dir, capacity="512MiB")
    before = {name: os.environ.get(name) for name in support.VARIABLES}
    os.environ |= {"TENSORBROKER_INSTANCE": broker.instance, "TENSORBROKER_RUNTIME_DIR": runtime_dir}
    os.environ["TENSORBROKER_AUTOSTART"] = "0"
    broker.start()
    try:
        tb.list()  # the default client connects
        yield broker
    finally:
        broker.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        assert support.segments(support.INSTANCE_PREFIX) == {}


@pytest.fixture(scope="session")
def shared_client(shared_broker: support.Broker) -> Iterator[tb.Client]:
    """Connect to the shared broker."""
    with tb.connect() as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_left(shared_client: tb.Client, request: pytest.FixtureRequest) -> Iterator[None]:
    """Check that a test leaves no segment, descriptor, child process, mapping, lease, pin or name behind."""
    before = support.Snapshot.take(shared_client)
    yield
    request.node.funcargs.clear()  # pytest would keep what fixtures gave the test for longer than this look
    for name in shared_client:
        with contextlib.suppress(tb.NotFoundError):
            shared_client.delete(name)
    try:
        support.expect_within(support.SETTLING, lambda: support.Snapshot.take(shared_client).beyond(before), [])
    finally:
        support.Snapshot.take().end_children(before)


@pytest.fixture
def client(shared_client: tb.Client, nothing_left: None) -> tb.Client:
    """Give a client of the shared broker, with no name published."""
    return shared_client


@pytest.fixture
def broker(runtime_dir: str, nothing_left: None) -> Iterator[support.Broker]:
    """Run a broker that the test may kill."""
    own = support.Broker(support.fresh_instance(), runtime_dir, capacity="128MiB")
    own.start()
    yield own
    own.stop()


@pytest.fixture
def instance(runtime_dir: str, nothing_left: None) -> Iterator[str]:
    """Give the name of an instance without a broker; one that is started there is ended."""
    name = support.fresh_instance()
    yield name
    support.end_broker(name, runtime_dir)


@pytest.fixture
def program(nothing_left: None) -> Iterator[Callable[..., support.Program]]:
    """Start Python programs, which are ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda code, *arguments: stack.enter_context(support.Program(code, *arguments))


@pytest.fixture(params=["fork", "forkserver", "spawn"])
def context(request: pytest.FixtureRequest, nothing_left: None) -> Iterator[BaseContext]:
    """Give multiprocessing's ways to start a process, one after the other."""
    yield multiprocessing.get_context(request.param)
    support.stop_helpers()


@pytest.fixture
def rng() -> np.random.Generator:
    """Give random numbers from a seed that is printed where the test fails."""
    seed = int(os.environ.get("TENSORBROKER_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"TENSORBROKER_TEST_SEED={seed}")
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def jax() -> ModuleType:
    """Import JAX, whose threads are started then."""
    module = importlib.import_module("jax")
    module.config.update("jax_enable_x64", True)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what imports JAX after everything else: a process with its threads should not fork any more."""
    items.sort(key=lambda item: "jax" in getattr(item, "fixturenames", ()))


def pytest_sessionstart() -> None:
    """Refuse to run against something that is not the installed package."""
    daemon = Path(tb.__file__).parent / "bin" / "tensorbrokerd"
    if not daemon.exists():
        raise pytest.UsageError(f"{daemon} is not there: run `make build`, and pytest with .venv/bin/python")
