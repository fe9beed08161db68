"""`await client.wait_async(...)` and `async for ... in client.watch(...)`: added to the classes of the extension.

asyncio is imported where a program awaits, not before.
"""

from typing import Any

from tensorbroker._core import Client, Watch


async def wait_async(self: Client, name: str, newer_than: int = 0, timeout: float | None = None) -> Any:
    """Return the newest version of what a name denotes, once there is one newer than that: `wait()` for event loops.

    The loop goes on meanwhile. Cancelling the task ends the waiting; a deletion does not.

    Args:
        name: the name; it need not be there yet.
        newer_than: a `version` that was seen; 0 takes any.
        timeout: in seconds; None waits for ever.

    Raises:
        TimeoutError: none came in time.
        ValueError: the name is not a valid one, or a number is negative.
        TypeError: the name is no str, or a number none.
        CorruptSegmentError: what shared memory says of it fails verification.
        BrokerUnavailableError: the broker ended, and none came back in time.
        ClosedError: the client was closed, meanwhile perhaps.

    Example:
        >>> import asyncio
        >>> seen = tb.put("model", {"w": [1.0]}).version
        >>> asyncio.run(tb.wait_async("model", timeout=5.0)).version == seen
        True
    """
    from tensorbroker._loop_waits import wait_in_loop

    return await wait_in_loop(self, name, newer_than, timeout)


def watch_aiter(self: Watch) -> Watch:
    """Iterate over versions as they appear, in an event loop."""
    return self


async def watch_anext(self: Watch) -> Any:
    """Return the next version; TimeoutError where none came in time."""
    from tensorbroker._loop_waits import version_in_loop, wait_in_loop

    while True:
        client, name, version, timeout, starts_late = self._awaited()
        if starts_late:
            version = await version_in_loop(client, name)
            self._saw(version)
        found = await wait_in_loop(client, name, version, timeout)
        if self._saw(found.version):
            return found


def add_methods() -> None:
    """Add to the classes what this module defines."""
    for cls, name, function in (
        (Client, "wait_async", wait_async),
        (Watch, "__aiter__", watch_aiter),
        (Watch, "__anext__", watch_anext),
    ):
        function.__name__ = name
        function.__annotations__ = {}  # the stub has the types, as of the extension's methods
        function.__qualname__ = f"{cls.__name__}.{name}"
        setattr(cls, name, function)
