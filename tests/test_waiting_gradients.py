"""Gradients that have to wait before they are applied need memory: where there is none, the step is not done.

Each test limits the memory of a process of its own.
"""

import os
import subprocess
import sys

import pytest

BEGINNING = """
import resource
import numpy as np
import fastgrad as fg

WIDTH = 1200
fg.set_num_threads(1)
net = fg.MLP([WIDTH, WIDTH, WIDTH], activation="identity", seed=1)
X = np.random.default_rng(0).standard_normal((64, WIDTH)).astype(np.float32)
BYTES = f"{4 * 2 * (WIDTH + 1) * WIDTH:,} bytes"

def refused(train):
    size = 4096 * int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**22, resource.RLIM_INFINITY))
    try:
        train()
    except MemoryError as error:
        assert "gradients have to wait" in str(error) and f"wants {BYTES}" in str(error), error
        return error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    raise AssertionError("there was memory enough")

def parameters(net):
    return [array.tobytes() for array in (*net.weights, *net.biases)]
"""

WHERE_A_NORM_CLIPS = """
def trainer_of(net):
    return fg.Trainer(net, "mse", fg.Adam(), clip=fg.ClipNorm(0.1))

before, trainer = parameters(net), trainer_of(net)
net.evaluate(X, X, loss="mse")
for _ in range(2):
    refused(lambda: trainer.step(X, X))
    error = refused(lambda: trainer.run(X, X, steps=3, batch_size=16))
    assert "steps 0, epochs 0" in error.__notes__[0]
    assert parameters(net) == before and trainer.steps == 0 and np.isnan(trainer.clip_norm)
    assert trainer.nonfinite is None and len(trainer.history) == 0
other = fg.MLP([WIDTH, WIDTH, WIDTH], activation="identity", seed=1)
assert trainer.step(X, X) == trainer_of(other).step(X, X)
assert parameters(net) == parameters(other)
"""

IN_THE_MIDST_OF_A_RUN = """
X[48:] *= 1e12  # whose gradients are tried before they are applied, as no bound says that they fit
trainer = fg.Trainer(net, "mse", fg.SGD(lr=1e-35))
trainer.step(X[:16], X[:16])
error = refused(lambda: trainer.run(X, X, steps=6, batch_size=16, shuffle=False))
history = trainer.history
assert "steps 3, epochs 0" in error.__notes__[0]
assert len(history) == len(history.telemetry) == 3 and trainer.steps == 4
trainer.run(X, X, steps=3, batch_size=16, shuffle=False, history=history)
assert len(history) == 6 and history.loss[3] > 1e20 > history.loss[4]
"""


@pytest.mark.parametrize("program", [WHERE_A_NORM_CLIPS, IN_THE_MIDST_OF_A_RUN], ids=["clipped", "tried"])
def test_a_step_without_memory_for_its_gradients_changes_nothing(program):
    given_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what was freed, so that it counts no more
    ended = subprocess.run([sys.executable, "-c", BEGINNING + program], capture_output=True, text=True, env=given_back)
    assert ended.returncode == 0, ended.stderr
