"""Asks serve, the C++ inference worker, what the held-out digits are, and prints the accuracy of each version.

    python examples/digits/query.py [--passes 100]

Images and labels go to, and answers come from, mutable tensors that the worker made: see mailbox.h for the protocol.
No message goes to the broker. Without --passes it asks until SIGINT or SIGTERM.
"""

import argparse
import itertools
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorbroker as tb
from numpy.typing import NDArray
from sayings import say

# The words of digits/control.
REQUESTED, COUNT, ANSWERED, VERSION = range(4)
POLL = 20e-6  # seconds


class Answer(NamedTuple):
    """What the worker takes the images for, and the version of the model that it used."""

    classes: NDArray[np.int64]
    version: int


class Mailbox:
    """The client's side of the mailbox. One client at a time may use it."""

    def __init__(self, timeout: float) -> None:
        """Open the worker's tensors; wait for it, and later for each answer, `timeout` seconds at most."""
        self._timeout = timeout
        tb.get("digits/control", timeout=timeout)  # made last: the others are there
        self._images = self._open("digits/request/images")
        self._labels = self._open("digits/request/labels")
        self._classes = self._open("digits/answer/classes")
        self._control = self._open("digits/control")

    @property
    def batch(self) -> int:
        """The number of images that fit in one request."""
        return len(self._images)

    def ask(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> Answer:
        """Send one request and wait for its answer; TimeoutError where there is none in time."""
        n = len(images)
        self._images[:n] = images
        self._labels[:n] = labels
        self._control[COUNT] = n
        self._control[REQUESTED] += 1  # from here on the worker may answer
        deadline = time.monotonic() + self._timeout
        while self._control[ANSWERED] != self._control[REQUESTED]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer after {self._timeout} s: is serve running, and train.py publishing?")
            time.sleep(POLL)
        return Answer(self._classes[:n].copy(), int(self._control[VERSION]))

    @staticmethod
    def _open(name: str) -> NDArray[Any]:
        array: NDArray[Any] = tb.open(name, "r+").numpy()
        return array


class Score(NamedTuple):
    """One version's accuracy over the images that it was asked about."""

    version: int
    images: int
    correct: int

    def add(self, version: int, images: int, correct: int) -> "Score":
        """Return the score with these images counted; another version begins anew."""
        if version != self.version:
            return Score(version, images, correct)
        return Score(version, self.images + images, self.correct + correct)


def passes(images: NDArray[np.float32], batch: int, count: int | None) -> Iterator[slice]:
    """Yield the batches of all images, pass after pass."""
    for _ in range(count) if count is not None else itertools.count():
        for start in range(0, len(images), batch):
            yield slice(start, start + batch)


def main() -> None:
    """Parse the arguments, ask, and print each version's accuracy once it has seen every image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, help="how often to ask about all images")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the worker")
    parser.add_argument("--json", action="store_true", help="one JSON object for each line")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    heldout = tb.get("digits/heldout", timeout=arguments.timeout)
    assert isinstance(heldout, tb.Bundle)  # as train.py puts it
    images, labels = heldout["images"].numpy(), heldout["labels"].numpy()
    mailbox = Mailbox(arguments.timeout)
    score, reported = Score(0, 0, 0), 0
    for batch in passes(images, mailbox.batch, arguments.passes):
        answer = mailbox.ask(images[batch], labels[batch])
        score = score.add(answer.version, len(labels[batch]), int((answer.classes == labels[batch]).sum()))
        if score.images >= len(images) and score.version != reported:
            reported = score.version
            accuracy = score.correct / score.images
            say("query", "accuracy", {"version": score.version, "accuracy": accuracy}, arguments.json)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (TimeoutError, tb.Error) as error:
        sys.exit(f"query: {error}")
