"""Looks at a run from outside, through its broker, and kills that broker when it is told to."""

import os
import signal
import threading
import time
from types import TracebackType
from typing import Any, Self

import numpy as np
import tensorbroker as tb
from numpy.typing import NDArray
from place import Place
from progress import Outage

ANSWERED = 2  # the word of digits/control that counts the answered requests: see mailbox.h
SUCCESSOR_SECONDS = 30.0


class Observer:
    """A client that never starts a broker itself, so that a killed one stays away until a worker wants it back."""

    def __init__(self, place: Place) -> None:
        """Connect; BrokerUnavailableError where no worker has started the broker yet."""
        self._client = place.connect(autostart=False)
        self._control: NDArray[np.int64] | None = None
        self._waiter: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Return the observer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the broker."""
        self._control = None
        self._client.close()
        if self._waiter is not None:
            self._waiter.join()

    def answered(self) -> int:
        """Return how many requests serve has answered, as its own tensor says: a look at memory, broker or not."""
        if self._control is None:
            if not self._client.exists("digits/control"):
                return 0
            self._control = self._client.get("digits/control").numpy()
        return int(self._control[ANSWERED])

    def stats(self) -> dict[str, Any]:
        """Return the broker's figures."""
        return dict(self._client.stats())

    def kill_broker(self, after_epoch: int) -> Outage:
        """Kill the broker with SIGKILL; the Outage that is returned is filled in as things happen."""
        outage = Outage(killed=self._client.stats()["broker_pid"], after_epoch=after_epoch)
        before = self.answered()
        os.kill(outage.killed, signal.SIGKILL)
        self._waiter = threading.Thread(target=self._await_successor, args=(outage, before), daemon=True)
        self._waiter.start()
        return outage

    def _await_successor(self, outage: Outage, answered_before: int) -> None:
        killed_at = time.monotonic()
        while time.monotonic() < killed_at + SUCCESSOR_SECONDS:
            outage.answered = self.answered() - answered_before
            try:
                pid = self._client.stats()["broker_pid"]
            except tb.BrokerUnavailableError:
                time.sleep(0.005)
                continue
            except tb.ClosedError:
                return
            outage.seconds = time.monotonic() - killed_at
            outage.answered = self.answered() - answered_before
            outage.successor = pid
            return
