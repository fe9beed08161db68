# The commands of this repository: make build, test, nightly, simulation, demo, demo-crash, bench, bench-guard, chaos,
# fuzz, crash, tsan, lint, format, install, clean, distclean.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build
.PHONY: build test test-cpp test-python nightly simulation demo demo-crash bench bench-guard chaos fuzz crash tsan lint
.PHONY: format install clean distclean
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# The tools of .venv come first, and ccache hits across checkouts.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH

# Everything whose change means a new build. The file build/.sources changes when this list does.
sources := $(shell find proto client broker python tests examples \
  \( -path tests/python -o -name __pycache__ \) -prune -o -type f \
  \( -name '*.cc' -o -name '*.h' -o -name '*.inl' -o -name '*.fbs' -o -name CMakeLists.txt -o -name '*.in' -o -name '*.cmake' \
     -o -path 'python/*.py' -o -path 'python/*.pyi' -o -name py.typed \) -print | LC_ALL=C sort) \
  CMakeLists.txt pyproject.toml
_ := $(shell mkdir -p build; printf '%s\n' $(sources) | cmp -s - build/.sources || \
  printf '%s\n' $(sources) >build/.sources)

build: build/.built

.venv/.ready: .ci/setup .ci/requirements.txt
	.ci/setup $(PYTHON)
	[ -x .venv/bin/python ] || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check -r .ci/requirements.txt </dev/null
	@touch $@

# One build: the package goes to .venv, the C++ libraries, daemon, tests, benchmarks and examples stay in build/.
build/.built: .venv/.ready build/.sources $(sources)
	@touch build/.started
	.venv/bin/python -m pip install --verbose --no-input --disable-pip-version-check --no-build-isolation --no-deps \
	  --force-reinstall --config-settings build-dir=build \
	  --config-settings cmake.define.TENSORBROKER_BUILD_TESTS=ON \
	  --config-settings cmake.define.TENSORBROKER_BUILD_BENCH=ON \
	  --config-settings cmake.define.TENSORBROKER_BUILD_EXAMPLES=ON . </dev/null
	@touch -r build/.started $@

test: test-cpp bench-guard test-python

# The test of the installation alone does not count as a test having run.
test-cpp: build
	@if ctest --test-dir build -N -LE '^install$$' | grep -x 'Total Tests: 0' >/dev/null; then \
	  echo 'make test: no C++ test was found' >&2; exit 1; fi
	ctest --test-dir build --parallel $(JOBS) --output-on-failure --no-tests=error --timeout 300

test-python: build
	timeout --kill-after=30 3600 .venv/bin/python -m pytest tests/python

# What takes too long for every change: PROGRAMS=100000 of tensors against torch, and the simulation's STEPS=10000000;
# SEED=... to play them again.
nightly: simulation
	TENSORBROKER_TEST_PROGRAMS=$(or $(PROGRAMS),100000) $(if $(SEED),TENSORBROKER_TEST_SEED=$(SEED)) \
	  .venv/bin/python -m pytest tests/python/test_surface.py

# The broker without system calls, against a model of it: STEPS=10000000, and SEED=... as a failure printed it.
simulation: build
	TENSORBROKER_TEST_STEPS=$(or $(STEPS),10000000) $(if $(SEED),TENSORBROKER_TEST_SEED=$(SEED)) \
	  build/tests/test_simulation --gtest_filter=Simulation.TheBrokerDoesWhatTheModelSays

demo: build
	.venv/bin/python examples/digits/demo.py

demo-crash: build
	.venv/bin/python examples/digits/demo.py --crash

# Each performance target beside its figure, within a quarter of an hour where nothing else runs. PEERS=0 leaves the
# peers out, UPDATE=1 writes docs/performance.md, OPERATIONS=10000000 fragments memory for longer.
bench: build build/bench/.ready
	.venv/bin/python tests/bench/run.py $(if $(filter 0,$(PEERS)),--no-peers) $(if $(UPDATE),--update) \
	  $(if $(OPERATIONS),--operations $(OPERATIONS))

build/bench/.ready: .venv/.ready tests/bench/requirements.txt
	.venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check -r tests/bench/requirements.txt \
	  </dev/null
	@mkdir -p $(@D) && touch $@

# The instructions of get, put and their like against those in tests/instructions/baseline.json: UPDATE=1 writes them.
bench-guard: build
	.venv/bin/python tests/instructions/compare.py $(if $(UPDATE),--update)

# Random faults on real processes, a few hundred a minute: ROUNDS=1000, and SEED=... to play a run's choices again.
chaos: build
	.venv/bin/python tests/chaos/chaos.py --rounds $(or $(ROUNDS),1000) $(if $(SEED),--seed $(SEED))

# Fuzzing under ASan and UBSan, for SECONDS=60, of all targets or of TARGETS="header index"; SEED=... as it was printed.
fuzz: build
	.ci/setup $(PYTHON) clang-16 libclang-rt-16-dev
	.venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check atheris==3.0.0 </dev/null
	cmake -S . -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-16 -DTENSORBROKER_FUZZ=ON \
	  -DTENSORBROKER_BUILD_BENCH=OFF -DTENSORBROKER_BUILD_EXAMPLES=OFF >build/fuzz-configure.log
	cmake --build build/fuzz
	.venv/bin/python tests/fuzz/run.py --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(TARGETS)

# Brokers and clients killed after every store to shared memory, those of long loops too.
crash: build
	TENSORBROKER_DAEMON=build/broker/tensorbrokerd TENSORBROKER_TEST_EVERY_STORE=1 build/tests/test_crash

# The lock-free protocols on the real machine, under ThreadSanitizer, for longer than in the tests: ROUNDS=1000000.
tsan: build
	TENSORBROKER_TEST_ROUNDS=$(or $(ROUNDS),1000000) ctest --test-dir build --verbose --tests-regex '^model.tsan$$'

lint: build
	.venv/bin/python .ci/check_layers.py --self-test
	.venv/bin/python .ci/check_layers.py
	.venv/bin/python .ci/cpp_lint.py format
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy python/tensorbroker
	.venv/bin/mypy examples
	.venv/bin/python .ci/cpp_lint.py tidy --jobs $(JOBS)

format: .venv/.ready
	.venv/bin/python .ci/cpp_lint.py format --fix
	.venv/bin/ruff format .

# The C++ library, its headers and CMake package, and the daemon, built to be found under PREFIX.
install: .venv/.ready
	cmake -S . -B build/install -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX='$(abspath $(PREFIX))' \
	  -DTENSORBROKER_BUILD_TESTS=OFF -DTENSORBROKER_BUILD_BENCH=OFF -DTENSORBROKER_BUILD_EXAMPLES=OFF
	cmake --build build/install
	cmake --install build/install

clean:
	rm -rf build dist

distclean: clean
	rm -rf .venv
