"""Runs the peers in peers/, each in a virtual environment of its own under build/peers, made at first use."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from figures import Figures

HERE = Path(__file__).resolve().parent
VENVS = HERE.parent.parent / "build" / "peers"
INSTALL_LIMIT = 300  # seconds
RUN_LIMIT = 300


@dataclass(frozen=True)
class Peer:
    """A peer: the script that runs it, and what that needs."""

    name: str
    script: str
    packages: tuple[str, ...] = ("numpy==2.4.6",)


PEERS = [
    Peer("multiprocessing.shared_memory", "stdlib_peer.py"),
    Peer("SharedArray", "sharedarray_peer.py", ("numpy==2.4.6", "SharedArray==3.2.4")),
    Peer("Plasma", "plasma_peer.py", ("numpy==1.26.4", "pyarrow==11.0.0")),
    Peer("safetensors", "safetensors_peer.py", ("numpy==2.4.6", "safetensors==0.8.0")),
    Peer("iceoryx2", "iceoryx2_peer.py", ("numpy==2.4.6", "iceoryx2==0.10.0")),
]


class NotThereError(Exception):
    """A peer cannot be installed, or does not run."""


def interpreter(peer: Peer) -> str:
    """Return the interpreter of the peer's environment, which is made where it is not there."""
    venv = VENVS / peer.name.lower()
    python = venv / "bin" / "python"
    made = venv / "made"
    if made.exists() and made.read_text().split() == list(peer.packages):
        return str(python)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    try:
        for command in ([sys.executable, "-m", "venv", "--clear", str(venv)], [*pip, *peer.packages]):
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_LIMIT)
    except subprocess.SubprocessError as error:
        raise NotThereError(f"cannot be installed here ({' '.join(peer.packages)})") from error
    made.write_text(" ".join(peer.packages))
    return str(python)


def run_script(python: str, script: str) -> dict[str, list[float]]:
    """Return what a peer's script has measured."""
    try:
        done = subprocess.run(
            [python, str(HERE / "peers" / script)], check=True, capture_output=True, text=True, timeout=RUN_LIMIT
        )
        values: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, json.JSONDecodeError, IndexError) as error:
        said = getattr(error, "stderr", "") or type(error).__name__
        raise NotThereError(f"failed: {str(said).strip().splitlines()[-1][:200]}") from error
    return values


def run_peers(figures: Figures) -> None:
    """Run all peers and this project beside them; a peer that is missing is said to be."""
    try:
        figures.add("peer/tensorbroker", run_script(sys.executable, "tensorbroker_peer.py"))
    except NotThereError as error:
        figures.failures["peer/tensorbroker"] = str(error)
    for peer in PEERS:
        try:
            figures.add(f"peer/{peer.name}", run_script(interpreter(peer), peer.script))
        except NotThereError as error:
            figures.failures[f"peer/{peer.name}"] = str(error)
