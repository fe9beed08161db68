"""The functions of the module: those of Client, on one client for each process, connected at first use.

A forked child goes on with its parent's client, which has a session of its own there.
"""

import os
import threading
from typing import TYPE_CHECKING, Any

from tensorbroker import _async, _core
from tensorbroker._core import Client, Tensor

_async.add_methods()  # whose texts the functions below take


class _Clients:
    """The clients of this process: one for the functions of the module, others for handles of instances without one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.default: Client | None = None
        self.others: dict[str, Client] = {}

    def renew_lock(self) -> None:
        """Give a forked child a lock that no thread of its parent holds."""
        self.lock = threading.Lock()

    def connect_default(self) -> Client:
        """Return the default client; connect it where nobody did."""
        with self.lock:
            if self.default is None:
                self.default = _core.connect()
            return self.default

    def of_instance(self, instance: str) -> Client:
        """Return a client of the instance that a handle names: an open one; else one that stays for the next handle."""
        client = _core._open_client(instance)
        if client is not None:
            return client
        with self.lock:
            client = self.others.get(instance)
            if client is None or client.closed:
                client = self.others[instance] = _core.connect(instance, autostart=False)
            return client


_clients = _Clients()
os.register_at_fork(after_in_child=_clients.renew_lock)


def default_client() -> Client:
    """Return this process's client; connect it where it is the first use."""
    client = _clients.default
    return _clients.connect_default() if client is None else client


def receive(handle: str, token: int) -> Any:
    """Open what a handle names, in the mode that it names: how bundles, and tensors below, are unpickled.

    The token says what the broker keeps for the first who receives it; 0: nothing, a name leads there.
    """
    if not isinstance(handle, str):
        raise TypeError(f"a handle is a str that begins with tb://, not {type(handle).__name__!r}")
    instance = handle.removeprefix("tb://").partition("/")[0]
    return _clients.of_instance(instance)._receive(handle, token)


def receive_view(
    handle: str, token: int, dtype: Any, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    """Open a view of what a handle names."""
    return _core._view_of(receive(handle, token), dtype, offset, sizes, strides)


# Types and texts are those of Client's methods: stated in the stub alone, which type checkers and editors see through
# here. The signatures are written out, so that a wrong call fails in the function that was called.
if TYPE_CHECKING:
    _client = default_client()
    put = _client.put
    flush = _client.flush
    put_many = _client.put_many
    get = _client.get
    open = _client.open
    delete = _client.delete
    load_safetensors = _client.load_safetensors
    save_safetensors = _client.save_safetensors
    exists = _client.exists
    list = _client.list
    stats = _client.stats
    reserve = _client.reserve
    create = _client.create
    wait = _client.wait
    wait_async = _client.wait_async
    watch = _client.watch
    events = _client.events
    tensor = _client.tensor
    empty = _client.empty
    zeros = _client.zeros
    ones = _client.ones
    full = _client.full
    arange = _client.arange
    linspace = _client.linspace
    eye = _client.eye
    rand = _client.rand
    randn = _client.randn
    empty_like = _client.empty_like
    zeros_like = _client.zeros_like
    ones_like = _client.ones_like
    full_like = _client.full_like
    rand_like = _client.rand_like
    randn_like = _client.randn_like
else:

    def _as_client(function):
        """Document a function as the method of Client that it calls."""
        function.__doc__ = getattr(Client, function.__name__).__doc__
        return function

    @_as_client
    def put(name, data, *, dtype=None, overwrite=True, metadata=None, wait=True):
        return default_client().put(name, data, dtype=dtype, overwrite=overwrite, metadata=metadata, wait=wait)

    @_as_client
    def flush():
        return default_client().flush()

    @_as_client
    def put_many(tensors, *, dtype=None, overwrite=True, metadata=None):
        return default_client().put_many(tensors, dtype=dtype, overwrite=overwrite, metadata=metadata)

    @_as_client
    def get(name, *, timeout=0.0):
        return default_client().get(name, timeout=timeout)

    @_as_client
    def open(name_or_handle, mode="r"):
        return default_client().open(name_or_handle, mode)

    @_as_client
    def delete(name):
        return default_client().delete(name)

    @_as_client
    def load_safetensors(name, path, *, overwrite=True, metadata=None):
        return default_client().load_safetensors(name, path, overwrite=overwrite, metadata=metadata)

    @_as_client
    def save_safetensors(name, path):
        return default_client().save_safetensors(name, path)

    @_as_client
    def exists(name):
        return default_client().exists(name)

    @_as_client
    def list(prefix=""):
        return default_client().list(prefix)

    @_as_client
    def stats():
        return default_client().stats()

    @_as_client
    def reserve(nbytes):
        return default_client().reserve(nbytes)

    @_as_client
    def create(name, shape, dtype=None, *, overwrite=True, metadata=None):
        return default_client().create(name, shape, dtype, overwrite=overwrite, metadata=metadata)

    @_as_client
    def wait(name, newer_than=0, timeout=None, *, spin=0.0):
        return default_client().wait(name, newer_than, timeout, spin=spin)

    @_as_client
    async def wait_async(name, newer_than=0, timeout=None):
        client = _clients.default
        if client is None:
            import asyncio

            client = await asyncio.to_thread(_clients.connect_default)
        return await client.wait_async(name, newer_than, timeout)

    @_as_client
    def watch(name, *, start="current", timeout=None, spin=0.0):
        return default_client().watch(name, start=start, timeout=timeout, spin=spin)

    @_as_client
    def events(prefix="", *, timeout=None):
        return default_client().events(prefix, timeout=timeout)

    @_as_client
    def tensor(data, *, dtype=None, name=None, metadata=None):
        return default_client().tensor(data, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def empty(*sizes, size=None, dtype=None, name=None, metadata=None):
        return default_client().empty(*sizes, size=size, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def zeros(*sizes, size=None, dtype=None, name=None, metadata=None):
        return default_client().zeros(*sizes, size=size, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def ones(*sizes, size=None, dtype=None, name=None, metadata=None):
        return default_client().ones(*sizes, size=size, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def full(size, fill_value, *, dtype=None, name=None, metadata=None):
        return default_client().full(size, fill_value, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def arange(*bounds, start=None, end=None, step=None, dtype=None, name=None, metadata=None):
        return default_client().arange(
            *bounds, start=start, end=end, step=step, dtype=dtype, name=name, metadata=metadata
        )

    @_as_client
    def linspace(start, end, steps, *, dtype=None, name=None, metadata=None):
        return default_client().linspace(start, end, steps, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def eye(n, m=None, *, dtype=None, name=None, metadata=None):
        return default_client().eye(n, m, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def rand(*size, generator=None, dtype=None, name=None, metadata=None):
        return default_client().rand(*size, generator=generator, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def randn(*size, generator=None, dtype=None, name=None, metadata=None):
        return default_client().randn(*size, generator=generator, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def empty_like(input, *, dtype=None, name=None, metadata=None):
        return default_client().empty_like(input, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def zeros_like(input, *, dtype=None, name=None, metadata=None):
        return default_client().zeros_like(input, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def ones_like(input, *, dtype=None, name=None, metadata=None):
        return default_client().ones_like(input, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def full_like(input, fill_value, *, dtype=None, name=None, metadata=None):
        return default_client().full_like(input, fill_value, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def rand_like(input, *, generator=None, dtype=None, name=None, metadata=None):
        return default_client().rand_like(input, generator=generator, dtype=dtype, name=name, metadata=metadata)

    @_as_client
    def randn_like(input, *, generator=None, dtype=None, name=None, metadata=None):
        return default_client().randn_like(input, generator=generator, dtype=dtype, name=name, metadata=metadata)
