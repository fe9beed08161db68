"""Trains a small network on scikit-learn's digits and publishes it after every epoch.

    python examples/digits/train.py [--epochs 20] [--pause 0.5]

What it publishes, under names that serve.cc and query.py wait for:

    digits/heldout     the images and labels that training never sees
    digits/model       the state_dict; metadata: epoch, epochs, step, loss, accuracy on the held-out images
    digits/published   int64 [version, time]: when `put` of that version returned, CLOCK_MONOTONIC, nanoseconds
"""

import argparse
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import tensorbroker as tb
import torch
from sayings import say
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

LEARNING_RATE = 1e-3
BATCH = 32


class Data(NamedTuple):
    """The two parts of the data set: images float32 [n, 64] from 0 to 1, labels int64 [n]."""

    images: Tensor
    labels: Tensor
    heldout_images: Tensor
    heldout_labels: Tensor


def load(seed: int) -> Data:
    """Split the 1,797 digits that come with scikit-learn; the seed alone decides how."""
    digits = load_digits()
    parts = train_test_split(digits.data / 16, digits.target, test_size=0.3, random_state=seed, stratify=digits.target)
    images, heldout_images = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
    labels, heldout_labels = (torch.tensor(part, dtype=torch.int64) for part in parts[2:])
    return Data(images, labels, heldout_images, heldout_labels)


def network() -> nn.Sequential:
    """Return an untrained network: 64 pixels, two hidden layers, 10 classes."""
    return nn.Sequential(
        OrderedDict(
            hidden1=nn.Linear(64, 128),
            relu1=nn.ReLU(),
            hidden2=nn.Linear(128, 64),
            relu2=nn.ReLU(),
            output=nn.Linear(64, 10),
        )
    )


def train(model: nn.Module, data: Data, epochs: int) -> Iterator[tuple[int, int, float]]:
    """Train, and yield (epoch, step, mean loss) after each epoch, counted from 1."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    step = 0
    for epoch in range(1, epochs + 1):
        losses = []
        for batch in torch.split(torch.randperm(len(data.images)), BATCH):
            loss = nn.functional.cross_entropy(model(data.images[batch]), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
            step += 1
        yield epoch, step, sum(losses) / len(losses)


@torch.no_grad()
def accuracy(model: nn.Module, data: Data) -> float:
    """Return the part of the held-out images that the model takes for what they are."""
    right = model(data.heldout_images).argmax(dim=1) == data.heldout_labels
    return float(right.float().mean())


def publish(model: nn.Module, metadata: dict[str, float]) -> tuple[int, float]:
    """Publish the model and when that was done; return its version and the seconds that `put` took."""
    started = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    version = tb.put("digits/model", model.state_dict(), metadata=metadata).version
    returned = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    tb.put("digits/published", torch.tensor([version, returned]))
    return version, (returned - started) / 1e9


def main() -> None:
    """Parse the arguments, train, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the weights and the order of the images")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each epoch, so that one can watch")
    parser.add_argument("--json", action="store_true", help="one JSON object for each line")
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)  # the model is small; leaves the other cores to those who serve it
    data = load(arguments.seed)
    tb.put("digits/heldout", {"images": data.heldout_images, "labels": data.heldout_labels})
    sizes = {"train_images": len(data.images), "heldout_images": len(data.heldout_images)}
    say("train", "data", {"seed": arguments.seed, **sizes}, arguments.json)

    model = network()
    for epoch, step, loss in train(model, data, arguments.epochs):
        correct = accuracy(model, data)
        metadata = {"epoch": epoch, "epochs": arguments.epochs, "step": step, "loss": loss, "accuracy": correct}
        version, put_seconds = publish(model, metadata)
        figures = {"version": version, "put_seconds": put_seconds, **metadata}
        say("train", "published", figures, arguments.json)
        time.sleep(arguments.pause)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except tb.Error as error:
        sys.exit(f"train: {error}")
