"""joblib, whose workers get what cloudpickle makes of their arguments."""

import tensorbroker as tb
from support import expect_within, run

START = """
import cloudpickle, numpy as np, tensorbroker as tb
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

def end():
    get_reusable_executor().shutdown(wait=True)
"""

BY_HANDLE = """
sealed = tb.put("x", np.arange(200_000.0))
bundle = tb.put("m", {"w": np.ones((300, 300)), "b": [2.0]})
mine = tb.zeros(200_000)
for sent in (sealed, sealed[5:], bundle, bundle["w"].t()):
    assert len(cloudpickle.dumps(sent)) < 1000

def work(i, sealed, bundle, mine):
    mine[i] = sealed[i].item()
    return tb.full((50_000,), i), type(sealed.numpy().base).__name__, bundle["w"].shape

results = Parallel(n_jobs=2)(delayed(work)(i, sealed, bundle, mine) for i in range(1, 5))
print(mine[:6].tolist(), [tensor[0].item() for tensor, _, _ in results])
print({base for _, base, _ in results}, {tuple(shape) for _, _, shape in results})
end()
"""


def test_tensors_go_by_handle(client: tb.Client) -> None:
    sessions = client.stats()["sessions"]
    elements, kinds = run(START + BY_HANDLE).splitlines()
    assert elements == "[0.0, 1.0, 2.0, 3.0, 4.0, 0.0] [1, 2, 3, 4]"
    assert kinds == "{'PyCapsule'} {(300, 300)}"
    client.delete("x")
    client.delete("m")
    expect_within(20, lambda: client.stats()["sessions"], sessions)
    expect_within(20, lambda: client.stats()["retired"], 0)


BY_VALUE = """
mutable = tb.zeros(400_000, name="x")  # more than the max_nbytes of joblib
array, tensor = mutable.numpy(), mutable.torch()
assert len(cloudpickle.dumps(array)) > array.nbytes

def write(array, tensor):
    kind = type(array).__name__
    if array.flags.writeable:
        array[0] = 1
    if tensor is not None:
        tensor[0] = 1
    return kind

print(*Parallel(n_jobs=2)(delayed(write)(array, tensor) for _ in range(2)))
print(*Parallel(n_jobs=2, max_nbytes=None)(delayed(write)(array, None) for _ in range(2)))
print(mutable[0].item(), tensor.data_ptr() == mutable.data_ptr() == array.ctypes.data)
end()
"""


def test_arrays_and_torch_tensors_go_by_value(client: tb.Client) -> None:
    mapped, copied, here = run(START + BY_VALUE).splitlines()
    assert mapped == "memmap memmap"  # joblib's own file, beside the broker's pages
    assert copied == "ndarray ndarray"
    assert here == "0.0 True"


THREADS = """
mine = tb.zeros(4)
def write(i): mine[i] = i
Parallel(n_jobs=2, backend="threading")(delayed(write)(i) for i in range(4))
print(mine.tolist())
"""


def test_threads_share_the_object(client: tb.Client) -> None:
    assert run(START + THREADS) == "[0.0, 1.0, 2.0, 3.0]\n"
