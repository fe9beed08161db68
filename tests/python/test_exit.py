"""The end of a process whose threads are still at work, or that still holds things."""

import pytest
import tensorbroker as tb
from support import run

# What a daemon thread does when the interpreter ends under it. (Not torch: its own threads abort there.)
WORK = {
    "wait": 'tb.wait("never")',
    "get": 'tb.get("x").numpy()',
    "put": 'tb.put("y", [1.0, 2.0])',
    "list": "tb.list()",
    "from_numpy": "tb.from_numpy(np.zeros(3))",
}


@pytest.mark.parametrize("work", list(WORK))
def test_a_daemon_thread_at_work_does_not_abort_the_process(client: tb.Client, work: str) -> None:
    client.put("x", [1, 2, 3])
    code = f"""
import threading, time
import numpy as np
import tensorbroker as tb

def forever():
    while True:
        {WORK[work]}
        at_work.set()

at_work = threading.Event()
threading.Thread(target=forever, daemon=True).start()
if {work != "wait"}:
    at_work.wait(20)
else:
    time.sleep(0.2)
"""
    assert run(code) == ""  # the status is checked, too


def test_what_is_held_at_the_end_is_let_go(client: tb.Client) -> None:
    version = client.put("x", [1, 2, 3]).version
    code = """
import numpy as np
import tensorbroker as tb
held = [tb.get("x"), tb.get("x").numpy(), memoryview(tb.get("x")), tb.get("x").__dlpack__(),
        tb.from_numpy(np.zeros(3)), tb.create("draft", 3), tb.watch("x"), tb.from_numpy(tb.get("x").numpy())]

class AtTheEnd:
    def __del__(self):
        print(tb.get("x").tolist())

end = AtTheEnd()
"""
    assert run(code) == "[1, 2, 3]\n"
    assert not client.exists("draft")
    assert client.get("x").version == version
