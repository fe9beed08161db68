"""Tensors against torch 2.13: random programs of operations, compared after every step.

TENSORBROKER_TEST_SEED repeats a run; TENSORBROKER_TEST_PROGRAMS is how many programs there are: `make nightly` runs
100,000.
"""

import os
import random
from collections.abc import Callable

import pytest
import surface
import surface_factories
import surface_operations
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

SEED = int(os.environ.get("TENSORBROKER_TEST_SEED", random.SystemRandom().randrange(2**32)))
PROGRAMS = int(os.environ.get("TENSORBROKER_TEST_PROGRAMS", "2000"))
BATCH = 500  # what hypothesis remembers of a run grows with its length
MOST_STEPS = 8


def run_program(rng: random.Random) -> None:
    """Make a program, step by step."""
    program = surface.Program()
    surface.add_source(program, rng)
    for _ in range(rng.randint(1, MOST_STEPS)):
        if rng.random() < 0.1:
            surface.add_source(program, rng)
        target = rng.choice(program.pairs[-3:] if rng.random() < 0.7 else program.pairs)
        if target.its.numel() > surface.MOST_ELEMENTS:
            continue
        operation = surface_operations.drawn_operation(program, target, rng)
        note(surface.describe(operation, target))
        program.run(operation, target)


def run_factories(rng: random.Random) -> None:
    """Make tensors by the factories, some like others."""
    program = surface.Program()
    surface.add_source(program, rng)
    for _ in range(rng.randint(1, MOST_STEPS)):
        name, arguments, named = surface_factories.drawn_call(program, rng)
        note(f"{name}{arguments!r} {named!r}")
        surface_factories.run_call(program, name, arguments, named)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("run", [run_program, run_factories], ids=["programs", "factories"])
@pytest.mark.parametrize("batch", range(-(-PROGRAMS // BATCH)))
def test_as_torch(batch: int, run: Callable[[random.Random], None]) -> None:
    print(f"TENSORBROKER_TEST_SEED={SEED} TENSORBROKER_TEST_PROGRAMS={PROGRAMS}, batch {batch}")

    @seed(SEED + batch)
    @settings(
        max_examples=min(BATCH, PROGRAMS - batch * BATCH),
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(rng: random.Random) -> None:
        run(rng)

    check()
