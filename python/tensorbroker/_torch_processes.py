"""How torch.multiprocessing sends torch tensors that lie in broker memory: by handle, so that both sides alias it.

torch itself would copy their storage to a segment of its own and move the sender's tensors there, away from everybody
who shares the broker's. Only its reducer of storages is wrapped: what a tensor is over one (class, strides, offset,
requires_grad) stays torch's business, and so does every storage that lies elsewhere, private pages of sealed tensors
included.
"""

from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from torch.multiprocessing import reductions

from tensorbroker import _core, _default


def receive_storage(*sent: Any) -> torch.UntypedStorage:
    """Open what another process sent: a storage over the same pages."""
    storage: torch.UntypedStorage = _default.receive_view(*sent).torch().untyped_storage()
    return storage


def reduce_storage(storage: torch.UntypedStorage) -> Any:
    """Send the handle of broker memory, and whatever else lies in a storage as torch does."""
    if storage.device.type == "cpu" and storage.nbytes() > 0:
        sent = _core._send_memory(storage.data_ptr(), storage.nbytes())
        if sent is not None:
            return receive_storage, sent
    return reductions.reduce_storage(storage)  # type: ignore[no-untyped-call]


def register() -> None:
    """Have multiprocessing's pickler send storages so. Called once, when torch is imported and was given a tensor."""
    ForkingPickler.register(torch.UntypedStorage, reduce_storage)
