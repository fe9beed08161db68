"""Waits in asyncio's event loops.

One native thread of the process serves the waits of all loops. What they come to lies in a queue for each loop, whose
descriptor the loop reads like a socket: so the thread never asks for the interpreter's lock, a burst of results wakes
the loop once, and the end of a loop, or of the interpreter, leaves the thread nothing to call.
"""

import asyncio
import os
import weakref
from typing import Any

from tensorbroker import _core
from tensorbroker._core import Client


class _LoopWaits:
    """The waits of one event loop, which alone keeps this object: it goes with the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop read the queue. REQUIRES: the loop is running."""
        self._queue = _core._WaitQueue()
        self._futures: dict[int, asyncio.Future[Any]] = {}
        loop.add_reader(self._queue.fileno(), self._take)

    async def wait(self, client: Client, name: str, newer_than: int, timeout: float | None) -> Any:
        """Return the newest version; None where the time has passed first."""
        future = asyncio.get_running_loop().create_future()
        number = self._queue.start(client, name, newer_than, timeout)
        self._futures[number] = future
        try:
            return await future
        finally:
            if self._futures.pop(number, None) is not None:
                self._queue.cancel(number)

    def _take(self) -> None:
        """Hand over what has come."""
        for number, result in self._queue.take():
            future = self._futures.pop(number, None)
            if future is None or future.done():  # cancelled meanwhile
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


# By loop. A strong reference would keep the loop, which the futures name.
_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_LoopWaits]] = weakref.WeakKeyDictionary()
# A child's waits are its own, and so is the descriptor of a loop that it goes on with.
os.register_at_fork(after_in_child=_loops.clear)


def _waits_of_this_loop() -> _LoopWaits:
    loop = asyncio.get_running_loop()
    reference = _loops.get(loop)
    waits = None if reference is None else reference()
    if waits is None:
        waits = _LoopWaits(loop)
        _loops[loop] = weakref.ref(waits)
    return waits


async def wait_in_loop(client: Client, name: str, newer_than: int, timeout: float | None) -> Any:
    """Return the newest version that is above `newer_than`, once there is one; TimeoutError."""
    await asyncio.sleep(0)  # or a loop over versions that are there already would let nobody else run
    found = client._find_newer(name, newer_than, timeout)
    if found is None:
        found = await _waits_of_this_loop().wait(client, name, newer_than, timeout)
    if found is None:
        raise TimeoutError(f"no version of '{name}' newer than {newer_than} came in time")
    return found


async def version_in_loop(client: Client, name: str) -> int:
    """Return the version of now, or 0, where it takes waiting to know."""
    found = await _waits_of_this_loop().wait(client, name, 0, 0.0)
    return 0 if found is None else int(found.version)
