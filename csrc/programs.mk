# The engine's C programs, tests and benches, without Python: included by the Makefile. Objects go below build/, one
# folder for each compiler and way of building.
COMPILER := $(notdir $(lastword $(CC)))
ISAS := $(or $(ISAS_$(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))),scalar)
ENGINE := $(wildcard csrc/*.c csrc/exponents/*.c csrc/stages/*.c $(ISAS:%=csrc/kernels/%_*.c))

# Tests, under sanitizers: build/sanitize/.
CHECKED := build/sanitize/$(COMPILER)-$(subst $(comma),-,$(SANITIZE))$(FPENV:%=-%)
CHECKED_FLAGS := $(FLAGS_common) $(FLAGS_warnings) $(FLAGS_checked) $(FLAGS_fpenv_$(FPENV)) -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
C_TESTS := $(patsubst %.c,$(CHECKED)/%,$(wildcard tests/csrc/test_*.c))

sanitize: $(C_TESTS) ## run the C tests under the address and undefined-behaviour sanitizers
	@test -n "$(C_TESTS)" || { echo "tests/csrc has no test_*.c"; exit 1; }
	@set -e; for test in $(C_TESTS); do echo "$$test"; UBSAN_OPTIONS=print_stacktrace=1 "$$test"; done

$(C_TESTS): %: %.o $(ENGINE:%.c=$(CHECKED)/%.o)
	@$(CC) $(CHECKED_FLAGS) -o $@ $^ -lm

# Benches, on the engine as it is released: build/bench/.
TIMED := build/bench/$(COMPILER)
TIMED_FLAGS := $(FLAGS_common) $(FLAGS_warnings) -DNDEBUG
C_BENCHES := $(TIMED)/bench/kernels $(TIMED)/bench/steps

bench-kernels: $(TIMED)/bench/kernels ## time the matrix kernels beside the multiply-add peak; ARGS="-b 32 64 256"
	@$< $(ARGS)

bench-steps: $(TIMED)/bench/steps ## time whole steps in C; ARGS="-o adam -c norm 64 10 256 1000": clip, width, layers, batch, steps
	@$< $(ARGS)

bench-instructions: $(TIMED)/bench/steps ## count a step's instructions beside the kept ones; UPDATE="why" keeps them
	$(PYTHON) bench/instructions.py $(if $(UPDATE),--update "$(UPDATE)") $<

$(C_BENCHES): %: %.o $(TIMED)/bench/square.o $(ENGINE:%.c=$(TIMED)/%.o)
	@$(CC) $(TIMED_FLAGS) -o $@ $^ -lm

$(CHECKED)/%.o: BUILD_FLAGS = $(CHECKED_FLAGS)
$(TIMED)/%.o: BUILD_FLAGS = $(TIMED_FLAGS)
$(CHECKED)/csrc/kernels/%.o $(TIMED)/csrc/kernels/%.o: ISA_FLAGS = $(FLAGS_$(firstword $(subst _, ,$(notdir $*))))

define compile
@mkdir -p $(@D) && echo "$(CC) $(ISA_FLAGS) $<"
@$(CC) $(BUILD_FLAGS) $(ISA_FLAGS) -Icsrc -MMD -MP -c -o $@ $<
endef

$(CHECKED)/%.o: %.c csrc/programs.mk csrc/flags.mk
	$(compile)

$(TIMED)/%.o: %.c csrc/programs.mk csrc/flags.mk
	$(compile)

-include $(shell find build/sanitize build/bench -name '*.d' 2>/dev/null)
.SECONDARY:
