"""The two listings that the project began with, run as a user runs them, and what they imply."""

from collections.abc import Callable

import numpy as np
import tensorbroker as tb
from support import Program, run

TO_NUMPY = """
import tensorbroker as torch

tensor = torch.tensor([[1, 2, 3], [4, 5, 6]])
array = tensor.numpy()
print(repr(array))
print(type(array).__module__, type(array).__name__, array.dtype)
"""

FROM_NUMPY = """
import numpy as np
import tensorbroker as torch

array = np.array([[1, 2, 3], [4, 5, 6]])
print(torch.from_numpy(array))
"""

WRITER = """
import tensorbroker as torch
array = torch.open("listing", "r+").numpy()
print(array.tolist(), flush=True)
input()
array[1, 2] = 60
print("written", flush=True)
input()
print(array.tolist(), flush=True)
"""


def test_tensor_to_numpy() -> None:
    assert run(TO_NUMPY) == "array([[1, 2, 3],\n       [4, 5, 6]])\nnumpy ndarray int64\n"


def test_numpy_to_tensor() -> None:
    assert run(FROM_NUMPY) == "tensor([[1, 2, 3],\n        [4, 5, 6]])\n"


def test_a_change_shows_on_the_other_side() -> None:
    tensor = tb.tensor([[1, 2, 3], [4, 5, 6]])
    array = tensor.numpy()
    array[0, 0] = 10
    assert tensor[0, 0].item() == 10
    tensor[1, 1] = 50
    assert array[1, 1] == 50


def test_a_change_shows_on_the_other_side_of_from_numpy() -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]])
    tensor = tb.from_numpy(array)
    array[0, 0] = 10
    assert tensor[0, 0].item() == 10
    tensor[1, 1] = 50
    assert array[1, 1] == 50


def test_a_change_shows_in_another_process(program: Callable[..., Program]) -> None:
    tensor = tb.tensor([[1, 2, 3], [4, 5, 6]], name="listing")
    array = tensor.numpy()
    other = program(WRITER)
    assert other.read() == "[[1, 2, 3], [4, 5, 6]]"
    other.write()
    assert other.read() == "written"
    assert array[1, 2] == 60
    assert tensor[1, 2].item() == 60
    array[0, 0] = 10
    other.write()
    assert other.read() == "[[10, 2, 3], [4, 5, 60]]"
    other.finish()
