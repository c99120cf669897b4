# Works on a fresh clone that has Python >= 3.11 with headers and venv, GCC or Clang, and make.
# make test TORCH=1 ARGS="-k adam"; make sanitize CC=clang SANITIZE=thread; make sanitize FPENV=plain.
# The compiler flags are in csrc/flags.mk.
PYTHON ?= python3
SANITIZE ?= address,undefined
comma := ,

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

include csrc/flags.mk
include csrc/programs.mk

# One environment, built again when a C or Cython source or a build switch changes.
BIN := .venv/bin
EXTRAS := dev$(if $(TORCH),$(comma)oracle)$(if $(filter bench-peers,$(MAKECMDGOALS)),$(comma)peers)
NATIVE := $(shell find csrc -type f) $(wildcard src/fastgrad/*.pyx src/fastgrad/*.px[di])
BUILT := .venv/built-$(EXTRAS)-$(COMPILER)-$(if $(FASTGRAD_DEBUG:0=),debug,release)-$(or $(FASTGRAD_SANITIZE),plain)

$(BUILT): pyproject.toml setup.py $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "setuptools>=77" "Cython>=3.1"
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[$(EXTRAS)]"
	rm -f .venv/built-* && touch "$@"

env: $(BUILT) ## make the environment, or build it again

demo: $(BUILT) ## train deep networks and watch their gradients
	$(BIN)/fastgrad demo

# An instrumented extension needs its sanitizer, and libstdc++ for what that intercepts, loaded before Python.
RUNTIME := $(if $(findstring address,$(FASTGRAD_SANITIZE)),asan)$(if $(findstring thread,$(FASTGRAD_SANITIZE)),tsan)
LIBRARY = $$($(CC) -print-file-name=$(1))
LIBRARIES := $(call LIBRARY,lib$(RUNTIME).so) $(call LIBRARY,libstdc++.so.6)
PRELOAD := $(if $(RUNTIME),ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(LIBRARIES)")

test: $(BUILT) ## run the tests
	$(PRELOAD) $(BIN)/python -m pytest $(ARGS)

# Tests of every part that take a minute together.
PARTS := bad_input cli config copies examples gradients init losses network optim_options training
QUICK := $(PARTS:%=tests/test_%.py)

test-isas: $(BUILT) ## run some tests under every FASTGRAD_ISA of this machine; most meet all of them anyway
	@set -e; for isa in $$($(PRELOAD) $(BIN)/python -c 'import fastgrad; print(*fastgrad.cpu_info()["isas"])'); do \
	    export FASTGRAD_ISA=$$isa; \
	    $(PRELOAD) $(BIN)/fastgrad info | grep "in use: $$isa)"; \
	    $(PRELOAD) $(BIN)/python -m pytest -q $(or $(ARGS),tests/test_network.py tests/test_training.py tests/test_copies.py); \
	done

# The wheel comes from the sdist. Where it is tested nothing is in reach but itself and what the sdist holds beside src.
wheel-test: $(BUILT) ## build sdist and wheel, run the quick tests on the wheel in a clean environment
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist
	set -e; apart=$$(mktemp -d); trap 'rm -rf "$$apart"' EXIT; \
	tar -xf build/dist/*.tar.gz -C "$$apart" --strip-components=1; rm -r "$$apart/src"; \
	$(PYTHON) -m venv "$$apart/venv"; \
	"$$apart/venv/bin/python" -m pip install --quiet "$$(echo $(CURDIR)/build/dist/*.whl)[test]"; \
	cd "$$apart"; \
	venv/bin/python -c 'import fastgrad as fg, sys; print(fg.__file__); assert fg.__file__.startswith(sys.prefix)'; \
	venv/bin/python -m pytest -q $(or $(ARGS),$(QUICK))

bench: $(BUILT) ## time the engine from 1 to 1000 layers, draw the figure
	mkdir -p bench/results
	$(BIN)/python -m pytest bench --benchmark-json=bench/results/latest.json $(ARGS)
	$(BIN)/python bench/plot_depth.py

bench-peers: $(BUILT) ## time it beside PyTorch, JAX, scikit-learn and NumPy (a download of gigabytes)
	$(BIN)/python bench/peers/run.py $(ARGS)

bench-limits: $(BUILT) ## time whole steps beside the machine's limits
	$(BIN)/python bench/limits/run.py $(ARGS)

SMOKE := build/smoke

smoke: $(BUILT) $(C_BENCHES) ## run every program, benchmark and example for a moment
	mkdir -p $(SMOKE)
	$(TIMED)/bench/kernels -t 0 -b 20 -l 2 24
	$(TIMED)/bench/steps -o adam 24 2 20 3
	$(BIN)/python csrc/kernels/coefficients.py | cmp - csrc/kernels/coefficients.inc.h
	$(BIN)/python -m pytest bench -q -k "32-1-32 or 32-10-64" --case-seconds=0 --benchmark-json=$(SMOKE)/depth.json
	$(BIN)/python bench/plot_depth.py $(SMOKE)/depth.json
	$(BIN)/python bench/limits/run.py --seconds 0.001 --output $(SMOKE)/limits.json
	$(BIN)/python bench/peers/run.py --shapes 8x2x4 --monitored 8x2x4 --skip plots --seconds 0.01 \
	    --output $(SMOKE)/peers.json
	$(BIN)/python bench/peers/readme_table.py $(SMOKE)/peers.json
	$(BIN)/python bench/peers/readme_table.py --check
	$(BIN)/python examples/quickstart.py
	$(BIN)/python examples/made_fashion_mnist.py $(SMOKE)/fashion
	$(BIN)/python examples/fashion_mnist.py --data $(SMOKE)/fashion --epochs 2
	$(BIN)/fastgrad info
	$(BIN)/fastgrad demo --epochs 1 --output $(SMOKE)/demo.png

C_STYLED = $(shell find bench csrc tests/csrc -name '*.[ch]' ! -name 'coefficients.inc.h')

lint: $(BUILT) ## check types and style
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/mypy bench examples csrc/kernels/coefficients.py
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	$(BIN)/clang-format --dry-run -Werror $(C_STYLED)

format: $(BUILT) ## put the sources in that style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_STYLED)

clean: ## back to a fresh clone
	rm -rf .venv build dist src/*.egg-info src/fastgrad/*.so src/fastgrad/_core.c
	rm -rf .benchmarks .mypy_cache .pytest_cache .ruff_cache

.PHONY: help env demo test test-isas wheel-test smoke sanitize lint format clean
.PHONY: bench bench-kernels bench-steps bench-instructions bench-limits bench-peers
