# Compiler flags, written once: included by the Makefile, read line by line by setup.py ("NAME = words"; no other "=").
# Neither -ffast-math nor -Ofast may ever appear: at link time they set flush-to-zero for the whole process.
FLAGS_common = -std=c11 -O3 -ffp-contract=off -fno-math-errno -fvisibility=hidden -fPIC -pthread
FLAGS_warnings = -Wall -Wextra
FLAGS_checked = -O1 -g -fno-omit-frame-pointer -UNDEBUG
# The floating-point state of processors other than x86-64 and AArch64, which cannot flush: csrc/fpenv.h.
FLAGS_fpenv_plain = -DFG_PLAIN_FPENV

# The instruction sets built for a machine (absent machine: scalar), and the flags of csrc/kernels/<isa>_{f32,f64}.c.
ISAS_x86_64 = scalar avx2 avx512
FLAGS_scalar =
FLAGS_avx2 = -mavx2 -mfma
FLAGS_avx512 = -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512
