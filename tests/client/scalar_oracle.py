"""Records torch 2.13's conversions, as the test data of scalar_test.cc: python scalar_oracle.py > scalar_oracle.json.

decode: each float8 code as a float32. store: the Python numbers of `values` written by fill_ ("fill") and by
torch.tensor ("literal"), or class and message of the error. cast: elements before and after Tensor.to, for each pair of
dtypes. Elements are their bytes in hex; a NaN is "nan", whichever it is.
"""

import json
import math
import random
import struct
import sys

import torch

SEED = 20260715
FLOAT8 = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
ALL = ["bool", *INTEGERS, *FLOATS, *COMPLEX, *FLOAT8]

rng = random.Random(SEED)


def dtype_of(name):
    return getattr(torch, name)


def to_hex(tensor):
    """The one element's bytes, or "nan": which NaN it is differs between torch's own code paths."""
    if "float" in str(tensor.dtype) and math.isnan(tensor.item()):
        return "nan"
    return bytes(tensor.reshape(1).contiguous().view(torch.uint8).numpy()).hex()


def number(value):
    """A Python number as JSON: [kind, text...]."""
    if isinstance(value, complex):
        return ["complex", value.real.hex(), value.imag.hex()]
    if isinstance(value, float):
        return ["float", value.hex()]
    return [type(value).__name__, str(value)]


def attempt(call):
    try:
        return to_hex(call())
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        kind = "ValueError" if isinstance(error, OverflowError) else type(error).__name__
        return [kind, str(error).split("\nException raised")[0]]


def decode():
    codes = torch.arange(256, dtype=torch.uint8)
    return {name: [to_hex(x) for x in codes.view(dtype_of(name)).float()] for name in FLOAT8}


def store_values():
    whole = [0, 1, -1, 2, 127, 128, -128, -129, 255, 256, -255, -256, 32767, 32768, 65535, 65536, -65535, -65536]
    whole += [2049, 2**24 + 1, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]
    real = [0.0, -0.0, 0.3, -0.5, -1.0, 1.5, 1.9, -1.9, 2.5, 3.0, 127.9, 255.5, 300.7, 448.0, 464.0, 465.0, 500.0, 1e-8]
    real += [
        240.0,
        247.9,
        248.0,
        57344.0,
        61439.0,
        61440.0,
        65519.0,
        65520.0,
        70000.0,
        1e10,
        1e19,
        1.8e19,
        1.9e19,
        1e20,
    ]
    real += [
        3.38e38,
        3.4e38,
        3.402823466e38,
        3.5e38,
        1e39,
        1e300,
        1e-45,
        2.0**-127,
        2.0**-126,
        math.nan,
        math.inf,
        -math.inf,
    ]
    return [True, False, *whole, *real, 1j, 3 + 0j, 1 + 2j, complex(1e39, 0), complex(0, math.inf), complex(-2.5, 1e39)]


def store():
    result = {}
    for name in ALL:
        dtype = dtype_of(name)
        fills, literals = [], []
        for value in store_values():
            fills.append(attempt(lambda v=value, d=dtype: torch.zeros(1, dtype=d).fill_(v)))
            literals.append(attempt(lambda v=value, d=dtype: torch.tensor([v], dtype=d)))
            if type(value) is int and value > 2**63 - 1 and isinstance(literals[-1], list):
                literals[-1] = None  # Python's own refusal of a large int: not a matter of this library
        result[name] = {"fill": fills, "literal": literals}
    return result


def element(name):
    """Random bytes of an element, now and then near a limit."""
    size = dtype_of(name).itemsize
    if name == "bool":
        return bytes([rng.randrange(2)])
    if name in FLOATS + COMPLEX and rng.random() < 0.8:
        parts = []
        for _ in range(2 if name in COMPLEX else 1):
            magnitude = rng.choice(
                [
                    2.0 ** rng.uniform(-12, 20),
                    float(rng.randint(0, 300)),
                    rng.randint(0, 99) / 8,
                    2.0 ** rng.uniform(-160, 30),
                ]
            )
            parts.append(rng.choice([-1, 1]) * magnitude)
        value = torch.tensor(
            [complex(*parts)] if name in COMPLEX else parts,
            dtype=torch.complex128 if name in COMPLEX else torch.float64,
        )
        return bytes(value.to(dtype_of(name)).view(torch.uint8).numpy())
    if name in INTEGERS and rng.random() < 0.4:
        value = rng.randint(-128, 127)
        return (value % 256**size).to_bytes(size, "little")
    return bytes(rng.randrange(256) for _ in range(size))


def cast():
    cases = []
    for source in ALL:
        for target in ALL:
            for _ in range(4):
                data = element(source)
                tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype_of(source))
                # What a float too large for an unsigned integer becomes differs between torch's code paths.
                if target in ("uint32", "uint64") and source not in INTEGERS + ["bool"]:
                    value = tensor.item()
                    if not -(2**31) < (value.real if isinstance(value, complex) else value) < 2**32:
                        continue
                cases.append([source, target, data.hex(), to_hex(tensor.to(dtype_of(target)))])
    # Every rounding of the small formats: neighbours of each value and of the middles between them.
    for target in FLOAT8 + ["float16", "bfloat16"]:
        bits = {0, 1, 0x7F800000, 0x7F7FFFFF, 0x00800000, 0x007FFFFF}
        size = dtype_of(target).itemsize
        codes = (
            range(256)
            if size == 1
            else [rng.randrange(65536) for _ in range(150)] + [0, 1, 2, 0x3FF, 0x400, 0x7BFF, 0x7F7F]
        )
        for code in codes:
            value = (
                torch.frombuffer(bytearray(code.to_bytes(size, "little")), dtype=torch.uint8)
                .view(dtype_of(target))
                .float()
            )
            base = struct.unpack("<I", bytes(value.view(torch.uint8).numpy()))[0]
            step = rng.choice([0x80000, 0x100000, 0x8000, 0x1000, 0x200000, 0x40000])
            bits.update({base, (base + step) & 0xFFFFFFFF, (base + step + rng.choice([-1, 1])) & 0xFFFFFFFF})
        for pattern in sorted(bits):
            data = struct.pack("<I", pattern)
            tensor = torch.frombuffer(bytearray(data), dtype=torch.float32)
            cases.append(["float32", target, data.hex(), to_hex(tensor.to(dtype_of(target)))])
    return cases


def group(casts):
    """[[source, target, "bytes bytes ...", "bytes bytes ..."]]: one row for each pair of dtypes."""
    rows = {}
    for source, target, before, after in casts:
        row = rows.setdefault((source, target), ([], []))
        row[0].append(before)
        row[1].append(after)
    return [[*pair, " ".join(before), " ".join(after)] for pair, (before, after) in rows.items()]


def dump_rows(rows):
    return ",\n".join(json.dumps(row) for row in rows)


def main():
    casts, stores = cast(), store()
    print('{"seed": %d, "torch": "%s",' % (SEED, torch.__version__.split("+")[0]))
    print('"decode": ' + json.dumps(decode()) + ",")
    print('"values": ' + json.dumps([number(value) for value in store_values()]) + ",")
    print('"store": {\n' + ",\n".join(f'"{name}": {json.dumps(row)}' for name, row in stores.items()) + "},")
    print('"cast": [\n' + dump_rows(group(casts)) + "]}")
    print(f"{len(stores) * len(store_values())} stores, {len(casts)} casts", file=sys.stderr)


if __name__ == "__main__":
    main()
