# Works on a fresh clone that has Python >= 3.11 with headers and venv, GCC or Clang, and make.
# make test TORCH=1 ARGS="-k adam"; make sanitize CC=clang SANITIZE=thread. The compiler flags are in csrc/flags.mk.
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
BUILT := .venv/built-$(EXTRAS)-$(if $(FASTGRAD_DEBUG:0=),debug,release)-$(or $(FASTGRAD_SANITIZE),plain)

$(BUILT): pyproject.toml setup.py $(NATIVE)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet "setuptools>=77" "Cython>=3.1"
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[$(EXTRAS)]"
	rm -f .venv/built-* && touch "$@"

demo: $(BUILT) ## train deep networks and watch their gradients
	$(BIN)/fastgrad demo

# An instrumented extension needs its sanitizer, and libstdc++ for what that intercepts, loaded before Python.
RUNTIME := $(if $(findstring address,$(FASTGRAD_SANITIZE)),asan)$(if $(findstring thread,$(FASTGRAD_SANITIZE)),tsan)
LIBRARY = $$($(CC) -print-file-name=$(1))
LIBRARIES := $(call LIBRARY,lib$(RUNTIME).so) $(call LIBRARY,libstdc++.so.6)
PRELOAD := $(if $(RUNTIME),ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(LIBRARIES)")

test: $(BUILT) ## run the tests
	$(PRELOAD) $(BIN)/python -m pytest $(ARGS)

bench: $(BUILT) ## time the engine from 1 to 1000 layers, draw the figure
	mkdir -p bench/results
	$(BIN)/python -m pytest bench --benchmark-json=bench/results/latest.json $(ARGS)
	$(BIN)/python bench/plot_depth.py

bench-peers: $(BUILT) ## time it beside PyTorch, JAX, scikit-learn and NumPy (a download of gigabytes)
	$(BIN)/python bench/peers/run.py $(ARGS)

bench-limits: $(BUILT) ## time whole steps beside the machine's limits
	$(BIN)/python bench/limits/run.py $(ARGS)

C_STYLED = $(shell find bench csrc tests/csrc -name '*.[ch]' ! -name 'coefficients.inc.h')

lint: $(BUILT) ## check types and style
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src
	$(BIN)/clang-format --dry-run -Werror $(C_STYLED)

format: $(BUILT) ## put the sources in that style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_STYLED)

clean: ## back to a fresh clone
	rm -rf .venv build dist src/*.egg-info src/fastgrad/*.so src/fastgrad/_core.c
	rm -rf .benchmarks .mypy_cache .pytest_cache .ruff_cache

.PHONY: help demo test bench bench-kernels bench-steps bench-instructions bench-limits bench-peers lint format sanitize clean
