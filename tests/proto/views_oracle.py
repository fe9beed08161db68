"""Records torch 2.13's view operations, as the test data of views_test.cc: python views_oracle.py > views_oracle.json.

Each case: a geometry, an operation with its arguments, and the geometry that came out or the class and message of the
error. In an index an integer is a number, a slice [start, stop, step], an ellipsis "..." and a new axis null.
"""

import json
import random
import re
import sys

import torch

SEED = 20260714
EXTREMES = [2**62, -(2**62), 2**63 - 1, -(2**63)]

rng = random.Random(SEED)
cases = []


def geometry(tensor):
    return {"sizes": list(tensor.shape), "strides": list(tensor.stride()), "offset": tensor.storage_offset()}


def to_index(item):
    if item == "...":
        return Ellipsis
    return slice(*item) if isinstance(item, list) else item


def apply(tensor, op, args):
    if op == "index":
        index = tuple(to_index(item) for item in args)
        return tensor[index[0] if len(index) == 1 else index]
    if op in ("view", "permute", "expand"):
        return getattr(tensor, op)(tuple(args))
    if op == "slice":
        dim, start, stop, step = args
        return torch.ops.aten.slice(tensor, dim, start, stop, step)
    return getattr(tensor, op)(*args)


def record(tensor, op, args):
    case = {**geometry(tensor), "op": op, "args": args}
    try:
        result = apply(tensor, op, args)
        case["result"] = geometry(result)
    except (IndexError, RuntimeError, ValueError) as error:
        message = re.sub(r"torch\.\w*Tensor\{", "torch.Tensor{", str(error).split("\nException raised")[0])
        case["error"] = {"class": type(error).__name__, "message": message}
        result = None
    cases.append(case)
    return result


def source():
    sizes = [rng.choice([0, 1, 1, 2, 3, 4, 5, 6, 8]) for _ in range(rng.choice([0, 1, 2, 2, 3, 3, 4, 5]))]
    tensor = torch.empty(sizes, dtype=torch.int8)
    for _ in range(rng.randrange(3)):
        if tensor.dim() >= 2 and rng.random() < 0.4:
            tensor = tensor.transpose(rng.randrange(tensor.dim()), rng.randrange(tensor.dim()))
        elif tensor.dim() >= 1 and rng.random() < 0.6:
            tensor = tensor[tuple(slice(rng.randrange(2), None, rng.choice([1, 1, 2, 3])) for _ in tensor.shape)]
        elif tensor.dim() <= 4:
            tensor = tensor.unsqueeze(rng.randrange(tensor.dim() + 1))
            tensor = tensor.expand([s if s != 1 else rng.choice([1, 3]) for s in tensor.shape])
    return tensor


def dim_of(tensor):
    return rng.randint(-tensor.dim() - 1, tensor.dim())


def number():
    return rng.choice(EXTREMES) if rng.random() < 0.05 else rng.randint(-7, 7)


def bound():
    return None if rng.random() < 0.3 else number()


def shape_for(tensor):
    """Mostly shapes with the right number of elements."""
    left, shape = tensor.numel(), []
    if left == 0 or rng.random() < 0.15:
        shape = [rng.choice([0, 1, 2, 3, 4]) for _ in range(rng.randrange(4))]
    else:
        while left > 1:
            factor = rng.choice([f for f in range(1, left + 1) if left % f == 0])
            shape.append(factor)
            left //= factor
        if rng.random() < 0.3:
            shape.insert(rng.randint(0, len(shape)), 1)
        if rng.random() < 0.4:
            rng.shuffle(shape)
    if shape and rng.random() < 0.3:
        shape[rng.randrange(len(shape))] = -1
    if shape and rng.random() < 0.05:
        shape[rng.randrange(len(shape))] = rng.choice([-1, -2, 2**62])
    return shape


def index_for(tensor):
    items = []
    for _ in range(rng.randint(1, tensor.dim() + 1)):
        kind = rng.random()
        if kind < 0.45:
            items.append(rng.randint(-5, 4) if rng.random() < 0.3 else rng.choice([0, -1, 0]))
        elif kind < 0.8:
            items.append([bound(), bound(), rng.choice([1, 1, 1, 2, 3, 20, None, 0, -1])])
        elif kind < 0.9 or "..." in items:
            items.append(None)
        else:
            items.append("...")
    return items


def expand_for(tensor):
    sizes = [rng.choice([-1, s, rng.randint(0, 4)]) if s != 1 else rng.choice([-1, 1, 4, 0]) for s in tensor.shape]
    leading = [rng.choice([1, 2, 3]) for _ in range(rng.choice([0, 0, 1, 2]))]
    if rng.random() < 0.1:
        leading = [rng.choice([-1, 2**62, 0])]
    return leading + (sizes[1:] if rng.random() < 0.05 else sizes)


def permute_for(tensor):
    dims = list(range(tensor.dim()))
    rng.shuffle(dims)
    dims = [d - tensor.dim() if rng.random() < 0.2 else d for d in dims]
    if dims and rng.random() < 0.2:
        dims[rng.randrange(len(dims))] = dim_of(tensor)
    return dims[1:] if rng.random() < 0.1 else dims


MAKERS = {
    "select": lambda t: [dim_of(t), number()],
    "narrow": lambda t: [dim_of(t), number(), rng.randint(-1, 5) if rng.random() < 0.95 else 2**62],
    "slice": lambda t: [dim_of(t), bound(), bound(), rng.choice([1, 1, 2, 3, 9])],
    "transpose": lambda t: [dim_of(t), dim_of(t)],
    "permute": permute_for,
    "t": lambda t: [],
    "unsqueeze": lambda t: [rng.randint(-t.dim() - 2, t.dim() + 1)],
    "squeeze": lambda t: [] if rng.random() < 0.3 else [dim_of(t)],
    "expand": expand_for,
    "view": shape_for,
    "index": index_for,
}


def main():
    for op, count in {"view": 220, "index": 220}.items():
        for _ in range(count):
            tensor = source()
            record(tensor, op, MAKERS[op](tensor))
    for op in MAKERS:
        for _ in range(45):
            tensor = source()
            record(tensor, op, MAKERS[op](tensor))
    print('{"seed": %d, "torch": "%s", "cases": [' % (SEED, torch.__version__.split("+")[0]))
    print(",\n".join(json.dumps(case) for case in cases))
    print("]}")
    print(f"{len(cases)} cases, {sum('error' in case for case in cases)} errors", file=sys.stderr)


if __name__ == "__main__":
    main()
