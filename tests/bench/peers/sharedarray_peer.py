"""SharedArray: NumPy arrays in POSIX shared memory."""

from __future__ import annotations

from typing import Any

import SharedArray
from workload import Peer, run


class Shared(Peer):
    """One segment an array, with its shape and dtype."""

    def put(self, name: str, array: Any) -> str:
        """Create and copy."""
        SharedArray.create(f"shm://{name}", array.shape, array.dtype)[:] = array
        return name

    def get(self, key: str) -> Any:
        """Attach."""
        return SharedArray.attach(f"shm://{key}")

    def free(self, key: str) -> None:
        """Delete."""
        SharedArray.delete(f"shm://{key}")


run(Shared())
