"""Records programs of torch 2.13's view operations: python views_oracle.py > views_oracle.json.

They are the test data of views_test.cc, which replays them on geometries, and of tests/client/tensor_programs_test.cc,
which does so on tensors. A program begins with torch.arange(numel).view(sizes) (int64). Each step is applied to what
the last one that succeeded gave: [operation, arguments, result], where the result is [sizes, strides, offset], a list
of those and which of them goes on, or the class and message of the error. In an index an integer is a number, a slice
[start, stop, step], an ellipsis "..." and a new axis null. "text" is what the last tensor prints, where it is small.
"""

import json
import random
import re
import sys

import torch

SEED = 20260714
PROGRAMS = 700
STEPS = 7
EXTREMES = [2**62, -(2**62), 2**63 - 1, -(2**63)]
DTYPES = ["uint8", "int8", "int16", "int32", "int64"]

rng = random.Random(SEED)


def geometry(tensor):
    return [list(tensor.shape), list(tensor.stride()), tensor.storage_offset()]


def to_index(item):
    if item == "...":
        return Ellipsis
    return slice(*item) if isinstance(item, list) else item


def apply(tensor, op, args):
    if op == "index":
        index = tuple(to_index(item) for item in args)
        return tensor[index[0] if len(index) == 1 else index]
    if op in ("view", "permute", "expand", "reshape", "squeeze_dims"):
        return getattr(tensor, op.removesuffix("_dims"))(tuple(args))
    if op == "slice":
        dim, start, stop, step = args
        return torch.ops.aten.slice(tensor, dim, start, stop, step)
    if op == "view_dtype":
        return tensor.view(getattr(torch, args[0]))
    if op == "split_with_sizes":
        return tensor.split(*args)
    if op in ("T", "mT"):
        return getattr(tensor, op)
    return getattr(tensor, op)(*args)


def attempt(tensor, op, args):
    """The result to go on with, or None, and what to record of it."""
    try:
        result = apply(tensor, op, args)
    except (IndexError, RuntimeError, ValueError) as error:
        message = re.sub(r"torch\.\w*Tensor\{", "torch.Tensor{", str(error).split("\nException raised")[0])
        return None, f"{type(error).__name__}: {message}"
    if not isinstance(result, (tuple, list)):
        return result, geometry(result)
    chosen = rng.randrange(len(result)) if result else None
    return (result[chosen] if result else None), {"parts": [geometry(part) for part in result], "next": chosen}


def sizes():
    return [rng.choice([0, 1, 1, 2, 3, 4, 5, 6, 8]) for _ in range(rng.choice([0, 1, 2, 2, 3, 3, 4, 5]))]


def dim_of(tensor):
    if rng.random() < 0.1:
        return rng.randint(-tensor.dim() - 1, tensor.dim())
    return rng.randint(-tensor.dim(), tensor.dim() - 1) if tensor.dim() else rng.choice([0, -1, 0, 1])


def number():
    return rng.choice(EXTREMES) if rng.random() < 0.05 else rng.randint(-7, 7)


def bound():
    return None if rng.random() < 0.3 else number()


def factors(count):
    shape = []
    while count > 1:
        factor = rng.choice([f for f in range(1, min(count, 16) + 1) if count % f == 0] + [count])
        shape.append(factor)
        count //= factor
    return shape


def shape_for(tensor):
    """Mostly shapes with the right number of elements."""
    if tensor.numel() == 0 or rng.random() < 0.15:
        shape = [rng.choice([0, 1, 2, 3, 4]) for _ in range(rng.randrange(4))]
    else:
        shape = factors(tensor.numel())
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
        if kind < 0.35:
            items.append(rng.randint(-5, 4) if rng.random() < 0.3 else rng.choice([0, -1, 0]))
        elif kind < 0.8:
            items.append([bound(), bound(), rng.choice([1, 1, 1, 2, 3, 20, None, 0, -1])])
        elif kind < 0.9 or "..." in items:
            items.append(None)
        else:
            items.append("...")
    return items


def expand_for(tensor):
    sizes = [
        rng.choice([-1, -1, s, s, s, rng.randint(0, 4)]) if s != 1 else rng.choice([-1, 1, 4, 0, 3])
        for s in tensor.shape
    ]
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


def movedim_for(tensor):
    count = rng.randint(0, tensor.dim())
    source = rng.sample(range(tensor.dim()), count)
    target = rng.sample(range(-tensor.dim(), 0), count)
    if rng.random() < 0.2:
        (source if rng.random() < 0.5 else target).append(dim_of(tensor))
    return [source, target]


def unflatten_for(tensor):
    dim = dim_of(tensor)
    known = tensor.dim() and -tensor.dim() <= dim < tensor.dim()
    shape = factors(tensor.shape[dim]) if known else [1]
    if shape and rng.random() < 0.3:
        shape[rng.randrange(len(shape))] = rng.choice([-1, -1, 0, 7])
    return [dim, shape]


def split_sizes_for(tensor):
    dim = dim_of(tensor)
    left = tensor.shape[dim] if tensor.dim() and -tensor.dim() <= dim < tensor.dim() else 3
    parts = []
    while left > 0:
        parts.append(rng.randint(0, left))
        left -= parts[-1]
    if rng.random() < 0.2:
        parts.append(rng.choice([-1, 0, 1, 2**62]))
    return [parts, dim]


def as_strided_for(tensor):
    sizes = [rng.choice([0, 1, 2, 2, 3]) for _ in range(rng.randrange(4))]
    strides = [rng.choice([0, 1, 1, 2, 3]) for _ in sizes]
    if rng.random() < 0.1:
        strides = [*strides[1:], rng.choice([-1, 2**62, 5])]
    args = [sizes, strides]
    if rng.random() < 0.6:
        args.append(rng.choice([0, 0, 1, 2, 5, -1, 2**62]))
    return args


VIEWS = {
    "select": lambda t: [dim_of(t), number()],
    "narrow": lambda t: [dim_of(t), number(), rng.randint(-1, 5) if rng.random() < 0.95 else 2**62],
    "slice": lambda t: [dim_of(t), bound(), bound(), rng.choice([1, 1, 2, 3, 9])],
    "index": index_for,
    "view": shape_for,
    "view_dtype": lambda t: [rng.choice(DTYPES)],
    "unflatten": unflatten_for,
    "transpose": lambda t: [dim_of(t), dim_of(t)],
    "t": lambda t: [],
    "mT": lambda t: [],
    "T": lambda t: [],
    "permute": permute_for,
    "movedim": movedim_for,
    "unsqueeze": lambda t: [rng.randint(-t.dim() - 2, t.dim() + 1)],
    "squeeze": lambda t: [] if rng.random() < 0.3 else [dim_of(t)],
    "squeeze_dims": lambda t: [dim_of(t) for _ in range(rng.randrange(3))],
    "expand": expand_for,
    "unbind": lambda t: [dim_of(t)],
    "split": lambda t: [rng.choice([1, 2, 3, 3, 0, -1, 2**62]), dim_of(t)],
    "split_with_sizes": split_sizes_for,
    "chunk": lambda t: [rng.choice([1, 2, 3, 0, -1, 9]), dim_of(t)],
    "diagonal": lambda t: [number() if rng.random() < 0.5 else 0, dim_of(t), dim_of(t)],
    "unfold": lambda t: [dim_of(t), rng.choice([-1, 0, 1, 1, 2, 2, 3]), rng.choice([0, 1, 1, 2, 3, 50])],
    "as_strided": as_strided_for,
}
COPIES = {
    "reshape": shape_for,
    "flatten": lambda t: [dim_of(t), dim_of(t)],
    "contiguous": lambda t: [],
    "clone": lambda t: [],
}


def unfit(tensor, op, args):
    """Where torch leaves its own rules: what follows a second ellipsis, and sizes that overflow beside a 0."""
    if op == "index":
        return args.count("...") > 1
    return op == "expand" and 2**62 in args and 0 in [*args, *tensor.shape]


def program():
    shape = sizes()
    tensor = torch.arange(torch.Size(shape).numel()).view(shape)
    entry = {"sizes": shape, "steps": []}
    while len(entry["steps"]) < STEPS:
        op = rng.choice(list(VIEWS) if rng.random() < 0.85 else list(COPIES))
        args = (VIEWS | COPIES)[op](tensor)
        if unfit(tensor, op, args):
            continue
        result, recorded = attempt(tensor, op, args)
        entry["steps"].append([op, args, recorded])
        if result is not None and result.numel() > 600:
            return entry  # too large to go on with
        tensor = tensor if result is None else result
    if tensor.numel() <= 40:
        entry["text"] = repr(tensor)
    return entry


def main():
    programs = [program() for _ in range(PROGRAMS)]
    print('{"seed": %d, "torch": "%s", "programs": [' % (SEED, torch.__version__.split("+")[0]))
    print(",\n".join(json.dumps(entry, separators=(",", ":")) for entry in programs))
    print("]}")
    steps = [step for entry in programs for step in entry["steps"]]
    errors = sum(isinstance(step[2], str) for step in steps)
    print(f"{len(steps)} steps, {errors} errors", file=sys.stderr)


if __name__ == "__main__":
    main()
