"""Runs the digits example as its users do: a trainer, a C++ worker and a client, with and without a broker's death."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "examples/digits/demo.py"
COMMAND = [sys.executable, str(DEMO), "--pause", "0.2", "--seed", "0"]
VERSION = re.compile(r"^epoch \d+, step \d+: accuracy ([\d.]+) from serve, ([\d.]+) in train\.py", re.MULTILINE)

pytestmark = pytest.mark.timeout(300)


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo, whose output is a pipe, so that it prints plain lines; end it if the test does not see its end."""
    command = [*COMMAND, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()
                demo.communicate(timeout=60)


def finish(demo: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the demo's end; return its output and its errors."""
    out, errors = demo.communicate(timeout=240)
    print(out, errors, sep="\n")
    return out, errors


def segments(demo: subprocess.Popen[str]) -> list[Path]:
    """Return what the demo's broker has in /dev/shm."""
    return list(Path("/dev/shm").glob(f"tensorbroker.*.digits-demo-{demo.pid}.*"))


def accuracies(out: str) -> list[tuple[float, float]]:
    """Return (from serve, from train.py) for each epoch that was printed."""
    return [(float(served), float(trained)) for served, trained in VERSION.findall(out)]


def pids_before_first_epoch(lines: Iterable[str]) -> set[int]:
    """Read until the first version was served; return the process ids that were named before."""
    found: set[int] = set()
    for line in lines:
        if VERSION.match(line):
            break
        found.update(int(pid) for pid in re.findall(r"\(pid (\d+)\)", line))
    return found


def is_running(pid: int) -> bool:
    """Return whether there is such a process, and it is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_accuracy_climbs_and_eigen_agrees_with_torch() -> None:
    """The C++ worker answers with ever better weights, and computes what PyTorch computes."""
    with running("--epochs", "10") as demo:
        out, _ = finish(demo)
    assert demo.returncode == 0
    pairs = accuracies(out)
    assert len(pairs) >= 2
    assert pairs[0][0] < 0.95 <= pairs[-1][0]
    assert all(served == pytest.approx(trained, abs=0.003) for served, trained in pairs)
    assert "Bytes copied for reading: 0." in out
    assert segments(demo) == []


def test_goes_on_when_the_broker_is_killed() -> None:
    """The worker answers without a broker, the trainer's next put goes through, the model gets better still."""
    with running("--epochs", "10", "--crash") as demo:
        out, _ = finish(demo)
    assert demo.returncode == 0
    pairs = accuracies(out)
    assert pairs[0][0] < 0.95 <= pairs[-1][0]
    found = re.search(r"killed after epoch (\d+); its successor .* serve answered ([\d,]+) requests.* next put", out)
    assert found is not None
    assert int(found[1]) < 10
    assert int(found[2].replace(",", "")) > 0
    assert segments(demo) == []


def test_a_model_that_is_not_good_enough_fails() -> None:
    """The exit status tells: one epoch does not reach 95 %."""
    with running("--epochs", "1") as demo:
        _, errors = finish(demo)
    assert demo.returncode == 1
    assert "below 0.95" in errors
    assert segments(demo) == []


def test_interrupt_ends_everything() -> None:
    """Ctrl-C in the middle ends workers and broker, and leaves nothing."""
    with running("--epochs", "1000") as demo:
        assert demo.stdout is not None
        pids = pids_before_first_epoch(demo.stdout)
        assert len(pids) == 4
        assert all(is_running(pid) for pid in pids)
        demo.send_signal(signal.SIGINT)
        finish(demo)
    assert demo.returncode == 130
    assert segments(demo) == []
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in pids)
