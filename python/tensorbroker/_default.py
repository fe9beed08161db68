"""The functions of the module: those of Client, on one client for each process, connected at first use.

A forked child goes on with its parent's client, which has a session of its own there.
"""

import builtins
import os
import threading
from typing import Any

from tensorbroker import _core
from tensorbroker._core import Bundle, Client, Info, Tensor, Watch


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
    instance = handle.removeprefix("tb://").partition("/")[0]
    return _clients.of_instance(instance)._receive(handle, token)


def receive_view(
    handle: str, token: int, dtype: Any, offset: int, sizes: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    """Open a view of what a handle names."""
    return _core._view_of(receive(handle, token), dtype, offset, sizes, strides)


def put(
    name: str, data: Any, *, dtype: Any = None, overwrite: bool = True, metadata: dict[str, Any] | None = None
) -> Any:
    """Copy once, and publish atomically. A mapping of names to tensors makes a Bundle, anything else a Tensor.

    A nested mapping, an optimizer's state_dict say, becomes a bundle of its tensors by dotted path, with the other
    leaves as metadata; the bundle's nested() gives it back.
    """
    return default_client().put(name, data, dtype=dtype, overwrite=overwrite, metadata=metadata)


def get(name: str, *, timeout: float | None = 0.0) -> Any:
    """Return what the name denotes, without a copy; NotFoundError after `timeout` seconds (None: wait for ever)."""
    return default_client().get(name, timeout=timeout)


def open(name_or_handle: str, mode: str = "r") -> Any:
    """Return what a name or handle denotes, opened "r", "r+" (mutable tensors) or "c" (private copy-on-write)."""
    return default_client().open(name_or_handle, mode)


def delete(name: str) -> None:
    """Remove the name; those who hold what it denoted keep it. NotFoundError where there is none."""
    default_client().delete(name)


def load_safetensors(
    name: str,
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    overwrite: bool = True,
    metadata: dict[str, Any] | None = None,
) -> Bundle:
    """Publish a safetensors file as a bundle, read straight into its pages.

    The bundle has the file's metadata unless others are given. OSError where the file cannot be read, ValueError where
    it is not as the format says or holds a dtype that tensors do not have.
    """
    return default_client().load_safetensors(name, path, overwrite=overwrite, metadata=metadata)


def save_safetensors(name: str, path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> None:
    """Write a bundle or tensor to a safetensors file, which replaces the one at `path` when it is whole.

    Tensors are written in C order, tied ones each for itself. NotFoundError where there is no such name, OSError where
    the file cannot be written, TypeError for a dtype that the format does not have.
    """
    default_client().save_safetensors(name, path)


def exists(name: str) -> bool:
    """Return whether the name denotes something now."""
    return default_client().exists(name)


def list(prefix: str = "") -> builtins.list[Info]:
    """Return what is published under the prefix, sorted by name."""
    return default_client().list(prefix)


def stats() -> dict[str, Any]:
    """Return what the broker knows of itself."""
    return default_client().stats()


def reserve(nbytes: int | str) -> None:
    """Have memory granted ahead, so that later puts find warm pages."""
    default_client().reserve(nbytes)


def create(
    name: str,
    shape: Any,
    dtype: Any = None,
    *,
    overwrite: bool = True,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a draft (float32 by default) to be written in place, and published by publish() or the end of a `with`."""
    return default_client().create(name, shape, dtype, overwrite=overwrite, metadata=metadata)


def wait(name: str, newer_than: int = 0, timeout: float | None = None) -> Any:
    """Return the newest version, once there is one newer than that; TimeoutError after `timeout` seconds."""
    return default_client().wait(name, newer_than, timeout)


async def wait_async(name: str, newer_than: int = 0, timeout: float | None = None) -> Any:
    """Return the newest version, once there is one newer than that, as wait() does, without blocking the event loop."""
    client = _clients.default
    if client is None:
        import asyncio

        client = await asyncio.to_thread(_clients.connect_default)
    return await client.wait_async(name, newer_than, timeout)


def watch(name: str, *, start: str = "current", timeout: float | None = None) -> Watch:
    """Iterate, with for or async for, over versions as they appear: the newest each time.

    The current one comes first unless start="next". Slow readers skip versions; none comes twice, or after a later one.
    A deletion ends nothing. TimeoutError where no version came for `timeout` seconds.
    """
    return default_client().watch(name, start=start, timeout=timeout)


def tensor(data: Any, *, dtype: Any = None, name: str | None = None, metadata: dict[str, Any] | None = None) -> Tensor:
    """Return a mutable tensor with the data, as torch.tensor does, visible to other processes if it has a name."""
    return default_client().tensor(data, dtype=dtype, name=name, metadata=metadata)


def empty(
    *size: Any,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
    **named_size: Any,
) -> Tensor:
    """Return a mutable tensor of unknown contents."""
    return default_client().empty(*size, dtype=dtype, name=name, metadata=metadata, **named_size)


def zeros(
    *size: Any,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
    **named_size: Any,
) -> Tensor:
    """Return a mutable tensor of zeros."""
    return default_client().zeros(*size, dtype=dtype, name=name, metadata=metadata, **named_size)


def ones(
    *size: Any,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
    **named_size: Any,
) -> Tensor:
    """Return a mutable tensor of ones."""
    return default_client().ones(*size, dtype=dtype, name=name, metadata=metadata, **named_size)


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor filled with a number, whose dtype it has unless another is given."""
    return default_client().full(size, fill_value, dtype=dtype, name=name, metadata=metadata)


def arange(
    *bounds: Any,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
    **named_bounds: Any,
) -> Tensor:
    """Return a mutable tensor of the numbers of arange(end) or arange(start, end[, step])."""
    return default_client().arange(*bounds, dtype=dtype, name=name, metadata=metadata, **named_bounds)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor of numbers evenly spaced from start to end, which is the last one."""
    return default_client().linspace(start, end, steps, dtype=dtype, name=name, metadata=metadata)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor with 1 on the diagonal and 0 elsewhere."""
    return default_client().eye(n, m, dtype=dtype, name=name, metadata=metadata)


def rand(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor of random numbers from 0 up to, but without, 1: NumPy's, so not torch's."""
    return default_client().rand(*size, generator=generator, dtype=dtype, name=name, metadata=metadata)


def randn(
    *size: Any,
    generator: Any = None,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor of normally distributed random numbers: NumPy's, so not torch's."""
    return default_client().randn(*size, generator=generator, dtype=dtype, name=name, metadata=metadata)


def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor of unknown contents, laid out as another."""
    return default_client().empty_like(input, dtype=dtype, name=name, metadata=metadata)


def zeros_like(
    input: Any,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor of zeros, laid out as another."""
    return default_client().zeros_like(input, dtype=dtype, name=name, metadata=metadata)


def ones_like(
    input: Any,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor of ones, laid out as another."""
    return default_client().ones_like(input, dtype=dtype, name=name, metadata=metadata)


def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return a mutable tensor filled with a number, laid out as another."""
    return default_client().full_like(input, fill_value, dtype=dtype, name=name, metadata=metadata)


def rand_like(
    input: Any,
    *,
    generator: Any = None,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return rand() with the shape, dtype and order of dimensions of another tensor."""
    return default_client().rand_like(input, generator=generator, dtype=dtype, name=name, metadata=metadata)


def randn_like(
    input: Any,
    *,
    generator: Any = None,
    dtype: Any = None,
    name: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """Return randn() with the shape, dtype and order of dimensions of another tensor."""
    return default_client().randn_like(input, generator=generator, dtype=dtype, name=name, metadata=metadata)
