"""The Python surface under Atheris: put, open and what unpickles handles, with a real broker.

The broker is the parent's, so that it is ended in good order whatever the fuzzer's process comes to.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / "python"), str(TESTS / "fuzz")]
AT = "TENSORBROKER_FUZZ_AT"


def serve_and_fuzz() -> int:
    """Run a broker, and the fuzzer in a process of its own."""
    from support import Broker

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends both in good order
    runtime_dir = tempfile.mkdtemp(prefix="tb-fuzz-", dir="/tmp")
    broker = Broker(f"fuzz-python-{os.getpid()}", runtime_dir, capacity="64MiB")
    try:
        broker.start()
        environment = os.environ | {AT: f"{broker.instance} {runtime_dir}", "TENSORBROKER_AUTOSTART": "0"}
        environment |= {"TENSORBROKER_INSTANCE": broker.instance, "TENSORBROKER_RUNTIME_DIR": runtime_dir}
        return subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment, check=False).returncode
    finally:
        broker.stop()
        shutil.rmtree(runtime_dir)


def fuzz(instance: str, runtime_dir: str) -> None:
    """Fuzz until libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tensorbroker", "python_input"]):
        import python_input
        import tensorbroker as tb
    client = tb.connect(instance, runtime_dir=runtime_dir, autostart=False)
    python_input.setup(client)
    atheris.Setup(sys.argv, lambda data: python_input.play(data, client))
    atheris.Fuzz()


if __name__ == "__main__":
    if AT in os.environ:
        fuzz(*os.environ[AT].split(" ", 1))
    else:
        sys.exit(serve_and_fuzz())
