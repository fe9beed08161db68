"""multiprocessing.shared_memory, attached by name for each reading."""

from __future__ import annotations

from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from workload import Peer, run


class Attached(np.ndarray):
    """An array that keeps its segment mapped."""

    segment: SharedMemory


class Stdlib(Peer):
    """One segment an array; its shape would have to be told otherwise, and is known here."""

    def put(self, name: str, array: Any) -> str:
        """Create a segment and copy into it."""
        segment = SharedMemory(name, create=True, size=array.nbytes)
        np.ndarray(array.shape, np.float32, buffer=segment.buf)[:] = array
        segment.close()
        return name

    def get(self, key: str) -> Any:
        """Attach the segment."""
        segment = SharedMemory(key)
        array = np.ndarray((segment.size // 4,), np.float32, buffer=segment.buf).view(Attached)
        array.segment = segment
        return array

    def free(self, key: str) -> None:
        """Unlink the segment."""
        segment = SharedMemory(key)
        segment.close()
        segment.unlink()


# The tracker takes a message for each segment from every process that attaches it; users switch it off like this.
resource_tracker.register = lambda name, rtype: None
resource_tracker.unregister = lambda name, rtype: None
run(Stdlib())
