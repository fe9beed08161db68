"""Records what torch 2.13 prints, as the test data of print_test.cc: python print_oracle.py > print_oracle.json.

Each case is a strided view of a small storage: dtype, sizes, strides, offset, the storage's bytes in hex, repr.
"""

import json
import math
import random
import struct
import sys

import torch

SEED = 20260713
FLOAT8 = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
SHAPES = [
    (),
    (1,),
    (2,),
    (3,),
    (7,),
    (17,),
    (40,),
    (1, 1),
    (2, 3),
    (3, 12),
    (5, 1),
    (2, 2, 2),
    (1, 2, 1, 3),
    (2, 1, 2, 1, 2),
]
EMPTY = [
    (0,),
    (0, 3),
    (3, 0),
    (2, 0, 3),
    (0, 0),
    (1, 0, 1, 2),
    (0, 1000000, 1000000, 1000000),
    (1000,) * 3 + (0,) + (10,) * 9,
]
LARGE = [
    (1001,),
    (1000,),
    (1200, 1),
    (1, 1500),
    (7, 150),
    (6, 200),
    (30, 40),
    (7, 8, 20),
    (6, 7, 30),
    (3, 2, 4, 60),
    (7, 2, 7, 11),
]

cases = []
rng = random.Random(SEED)


def dtype_of(name):
    return getattr(torch, name)


def record(name, storage, sizes, strides=None, offset=0):
    """storage: bytes."""
    dtype = dtype_of(name)
    flat = (
        torch.frombuffer(bytearray(storage), dtype=torch.uint8).view(dtype) if storage else torch.empty(0, dtype=dtype)
    )
    if strides is None:
        strides, step = [], 1
        for size in reversed(sizes):
            strides.insert(0, step)
            step *= max(size, 1)
    tensor = flat.as_strided(sizes, strides, offset)
    text = repr(tensor)
    cases.append(
        {
            "dtype": name,
            "sizes": sizes,
            "strides": strides,
            "offset": offset,
            "storage": bytes(storage).hex(),
            "repr": text,
        }
    )


def floats(name, values):
    tensor = torch.tensor(values, dtype=torch.complex128 if name in COMPLEX else torch.float64).to(dtype_of(name))
    return bytes(tensor.contiguous().view(torch.uint8).numpy()) if values else b""


def magnitudes(count, style):
    """Values that lead to each of torch's notations."""
    result = []
    for _ in range(count):
        if style == "unit":
            value = rng.uniform(-1, 1)
        elif style == "whole":
            value = float(rng.randint(-50, 50))
        elif style == "wide":
            value = rng.choice([-1, 1]) * 10 ** rng.uniform(-6, 6)
        elif style == "small":
            value = rng.uniform(-1, 1) * 1e-5
        elif style == "large":
            value = float(rng.randint(-(10**9), 10**9))
        elif style == "sparse":
            value = rng.choice([0.0, -0.0, math.nan, math.inf, -math.inf, rng.uniform(-9, 9)])
        elif style == "special":
            value = rng.choice([0.0, -0.0, math.nan, math.inf, -math.inf])
        elif style == "whole_special":
            value = rng.choice([0.0, -0.0, math.nan, math.inf, float(rng.randint(-999, 999))])
        else:
            value = rng.choice([0.5, 1e-4, 9.9e-5, 1e8, 1.0000001e8, 1000.0, 1001.0, 0.00005, 99999.5, 123456.0, 2.5])
        result.append(value)
    return result


STYLES = ["unit", "whole", "wide", "small", "large", "sparse", "special", "whole_special", "edge"]


def random_bytes(count):
    return bytes(rng.randrange(256) for _ in range(count))


def itemsize(name):
    return dtype_of(name).itemsize


def add_small():
    for name in FLOATS:
        for style in STYLES:
            shape = rng.choice(SHAPES)
            record(name, floats(name, magnitudes(math.prod(shape), style)), shape)
    for name in COMPLEX:
        for style in STYLES:
            shape = rng.choice(SHAPES)
            count = math.prod(shape)
            parts = zip(magnitudes(count, style), magnitudes(count, rng.choice(STYLES)))
            record(name, floats(name, [complex(*part) for part in parts]), shape)
    for name in FLOAT8:
        record(name, bytes(range(256)), (256,))
        for _ in range(4):
            shape = rng.choice(SHAPES)
            record(name, random_bytes(math.prod(shape)), shape)
            record(name, bytes(rng.randrange(118, 134) for _ in range(math.prod(shape))), shape)
    for name in INTEGERS:
        record(name, b"\x00" * itemsize(name), ())
        for shape in rng.sample(SHAPES, 3):
            record(name, random_bytes(math.prod(shape) * itemsize(name)), shape)
    for shape in rng.sample(SHAPES, 5):
        record("bool", bytes(rng.randrange(2) for _ in range(math.prod(shape))), shape)


def add_chosen():
    record("int64", struct.pack("<6q", 1, 2, 3, 4, 5, 6), (2, 3))
    for value in [0.0, -0.0, 1.0, 0.1, 1e-5, 1e9, 3.0e38, math.nan, math.inf, -math.inf, -1.5, 16777216.0, 1e-45]:
        record("float32", struct.pack("<f", value), ())
        record("float64", struct.pack("<d", value), (1,))
        record("complex64", struct.pack("<2f", value, -value), ())
        record("complex128", struct.pack("<2d", 2.5, value), (1,))
    record("float64", struct.pack("<2d", 1.7976931348623157e308, 5e-324), (2,))
    record("float64", struct.pack("<1d", 1.7976931348623157e308), (1,))
    record("float32", struct.pack("<I", 0xFFC00000), (1,))  # a negative NaN
    record("float64", struct.pack("<4d", 0.00005, 0.00015, 0.00025, 0.00035), (4,))  # ties of rounding
    for exponent in [0, 1, 127, 254, 255]:
        record("float8_e8m0fnu", bytes([exponent]), ())
    for exponents in [(255, 127), (0, 0), (0, 127), (128, 129), (0, 255), (126, 0), (255, 255, 200), (254, 255)]:
        record("float8_e8m0fnu", bytes(exponents), (len(exponents),))
    for shape in EMPTY:
        for name in rng.sample(["float32", "int64", "bool", "float64", "complex64", "uint8", "float8_e5m2"], 3):
            record(name, b"", shape)
    record("float32", b"", (0,))
    record("int64", b"", (0,))
    record("float8_e4m3fnuz", b"", (0,))
    # The suffix moves to a line of its own when the last line is full.
    for count in range(12, 26):
        record("int16", struct.pack(f"<{count}h", *range(count)), (count,))
    for count in range(8, 14):
        record("float64", struct.pack(f"<{count}d", *[0.5 + i for i in range(count)]), (1, count))
    record("int8", bytes([1] * 30), (1,) * 30 + (30,))
    record("int64", struct.pack("<q", -7), (1,) * 64)
    record("uint8", bytes(range(4)), (1,) * 60 + (4,))


def add_strided():
    for name in ["float32", "int32", "float64", "uint8", "complex64", "bool", "bfloat16"]:
        count = 40
        for _ in range(4):
            if name in INTEGERS:
                storage = random_bytes(count * itemsize(name))
            elif name == "bool":
                storage = bytes(rng.randrange(2) for _ in range(count))
            else:
                storage = floats(name, magnitudes(count, rng.choice(STYLES)))
            flat = torch.empty(count)
            view = rng.choice(
                [
                    flat.view(5, 8).t(),
                    flat.view(5, 8)[1:, ::3],
                    flat.view(2, 4, 5).permute(2, 0, 1)[1:3],
                    flat[7:8].expand(3, 4),
                    flat.view(4, 10)[:, 3],
                    flat[39],
                ]
            )
            record(name, storage, tuple(view.shape), list(view.stride()), view.storage_offset())


def add_large():
    """Summarised: overlapping strides keep the storages small."""
    for name in [
        "int64",
        "float32",
        "float64",
        "complex64",
        "bool",
        "uint8",
        "float16",
        "float8_e4m3fn",
        "float8_e8m0fnu",
    ]:
        for shape in rng.sample(LARGE, 4):
            strides = [rng.randint(0, 3) for _ in shape]
            count = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))
            while count > 500:
                strides = [max(0, stride - 1) for stride in strides]
                count = 1 + sum((size - 1) * stride for size, stride in zip(shape, strides))
            if name in FLOAT8:
                storage = random_bytes(count)
            elif name in ("bool",):
                storage = bytes(rng.randrange(2) for _ in range(count))
            elif name in INTEGERS:
                storage = b"".join(
                    (rng.randrange(100) ** 2 % 251).to_bytes(itemsize(name), "little") for _ in range(count)
                )
            else:
                storage = floats(name, magnitudes(count, rng.choice(STYLES)))
            record(name, storage, shape, strides)
    # The middle, which is not shown, does not choose the notation.
    record("float32", struct.pack("<4f", 1.0, 2.0, 0.001, 5e9), (1001,), [0])
    middle = [1.0] * 1001
    middle[500] = 1e9
    record("float16", floats("float16", middle), (1001,))


def main():
    add_small()
    add_chosen()
    add_strided()
    add_large()
    print('{"seed": %d, "torch": "%s", "cases": [' % (SEED, torch.__version__.split("+")[0]))
    print(",\n".join(json.dumps(case) for case in cases))
    print("]}")
    print(f"{len(cases)} cases", file=sys.stderr)


if __name__ == "__main__":
    main()
