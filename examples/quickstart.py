import numpy as np

import fastgrad as fg

rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 16), dtype=np.float32)
y = (np.linalg.norm(X, axis=1) > 4).astype(np.int64)

for activation in ("sigmoid", "relu"):
    net = fg.MLP([16, *[64] * 20, 2], activation=activation, seed=0)
    history = net.fit(X, y, loss="cross_entropy", optimizer=fg.Adam(lr=1e-3), epochs=20, batch_size=64)
    first, middle, last = history.telemetry.log10("grad_norm")[0, [0, 10, 20]]
    print(f"{activation:7}  loss {history.epochs[-1].loss:.2f}  gradient of layers 0, 10 and 20:", end=" ")
    print(f"10^{first:.1f}, 10^{middle:.1f}, 10^{last:.1f}")
