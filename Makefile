# Works on a fresh clone that has Python >= 3.11 with headers and venv, GCC or Clang, and make.
# make test TORCH=1 ARGS="-k adam"; make sanitize CC=clang SANITIZE=thread; make sanitize FPENV=plain.
# The compiler flags are in csrc/flags.mk.
PYTHON ?= python3
SANITIZE ?= address,undefined
include csrc/flags.mk
comma := ,

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

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

# The engine as it is released, and a plain C program that times its kernels: no Python, no environment.
TIMED := build/bench/$(notdir $(lastword $(CC)))
TIMED_FLAGS := $(FLAGS_common) $(FLAGS_warnings) -DNDEBUG
KERNEL_BENCH := $(TIMED)/bench/kernels

bench-kernels: $(KERNEL_BENCH) ## time the matrix kernels beside the multiply-add peak; ARGS="-b 32 64 256"
	@$(KERNEL_BENCH) $(ARGS)

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

# The engine and its C tests without Python.
CHECKED := build/sanitize/$(notdir $(lastword $(CC)))-$(subst $(comma),-,$(SANITIZE))$(FPENV:%=-%)
CHECKED_FLAGS := $(FLAGS_common) $(FLAGS_warnings) $(FLAGS_checked) $(FLAGS_fpenv_$(FPENV)) -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
ISAS := $(or $(ISAS_$(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))),scalar)
ENGINE := $(wildcard csrc/*.c $(ISAS:%=csrc/kernels/%_*.c))
ENGINE_OBJECTS := $(ENGINE:%.c=$(CHECKED)/%.o)
C_TESTS := $(patsubst %.c,$(CHECKED)/%,$(wildcard tests/csrc/test_*.c))

sanitize: $(C_TESTS) ## run the C tests under the address and undefined-behaviour sanitizers
	@test -n "$(C_TESTS)" || { echo "tests/csrc has no test_*.c"; exit 1; }
	@set -e; for test in $(C_TESTS); do echo "$$test"; UBSAN_OPTIONS=print_stacktrace=1 "$$test"; done

$(CHECKED)/csrc/kernels/%.o: ISA_FLAGS = $(FLAGS_$(firstword $(subst _, ,$(notdir $*))))
$(CHECKED)/%.o: %.c Makefile csrc/flags.mk
	@mkdir -p $(@D) && echo "$(CC) $(ISA_FLAGS) $<"
	@$(CC) $(CHECKED_FLAGS) $(ISA_FLAGS) -Icsrc -MMD -MP -c -o $@ $<

$(C_TESTS): %: %.o $(ENGINE_OBJECTS)
	@$(CC) $(CHECKED_FLAGS) -o $@ $^ -lm

$(TIMED)/csrc/kernels/%.o: ISA_FLAGS = $(FLAGS_$(firstword $(subst _, ,$(notdir $*))))
$(TIMED)/%.o: %.c Makefile csrc/flags.mk
	@mkdir -p $(@D) && echo "$(CC) $(ISA_FLAGS) $<"
	@$(CC) $(TIMED_FLAGS) $(ISA_FLAGS) -Icsrc -MMD -MP -c -o $@ $<

$(KERNEL_BENCH): $(KERNEL_BENCH).o $(ENGINE:%.c=$(TIMED)/%.o)
	@$(CC) $(TIMED_FLAGS) -o $@ $^ -lm

-include $(ENGINE_OBJECTS:.o=.d) $(C_TESTS:=.d) $(ENGINE:%.c=$(TIMED)/%.d) $(KERNEL_BENCH).d

clean: ## back to a fresh clone
	rm -rf .venv build dist src/*.egg-info src/fastgrad/*.so src/fastgrad/_core.c
	rm -rf .benchmarks .mypy_cache .pytest_cache .ruff_cache

.PHONY: help demo test bench bench-kernels bench-limits bench-peers lint format sanitize clean
.SECONDARY:
