"""Input of an unusual form that means something gives what the plain array gives, to the bit."""

import numpy as np
import pytest
from support import DTYPES, parameters, same_bits
from test_bad_input import LABELS, ROWS, X, Y, make


def strided(array):
    wide = np.full((2 * array.shape[0], 3 * array.shape[1]), np.nan, array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def unaligned(array):
    raw = np.frombuffer(b"\0" + array.tobytes(), np.uint8)
    return raw[1:].view(array.dtype).reshape(array.shape)


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


GOOD = {
    "Fortran order": np.asfortranarray,
    "strided": strided,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "unaligned": unaligned,
    "read-only": read_only,
    "lists": lambda array: array.tolist(),
    "a tuple of rows": tuple,
    "the other dtype": lambda array: array.astype(np.float64 if array.dtype == np.float32 else np.float32),
    "long double": lambda array: array.astype(np.longdouble),
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "float16": lambda array: array.astype(np.float16),
    "a subclass": lambda array: array.view(np.recarray),
}
EIGHTHS = np.round(8.0 * X) / 8.0, np.round(8.0 * Y) / 8.0  # exact in every dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", GOOD)
def test_unusual_arrays_mean_what_they_hold(form, dtype):
    x, y = (array.astype(dtype) for array in EIGHTHS)
    plain, unusual = make(dtype=dtype), make(dtype=dtype)
    ux, uy = GOOD[form](x), GOOD[form](y)
    np.testing.assert_array_equal(unusual.net.forward(ux), plain.net.forward(x))
    assert unusual.net.evaluate(ux, uy, loss="mse") == plain.net.evaluate(x, y, loss="mse")
    assert unusual.trainer.step(ux, uy) == plain.trainer.step(x, y)
    unusual.trainer.run(ux, uy, steps=3, batch_size=2)
    plain.trainer.run(x, y, steps=3, batch_size=2)
    assert same_bits(parameters(unusual.net), parameters(plain.net))
    for given in (ux, uy):
        np.testing.assert_array_equal(given, GOOD[form](x if given is ux else y))


@pytest.mark.parametrize(
    "form", ["Fortran order", "strided", "reversed", "unaligned", "read-only", "lists", "big-endian"]
)
def test_unusual_weights_mean_what_they_hold(form):
    net = make().net
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    net.weights[0] = GOOD[form](weights)
    np.testing.assert_array_equal(net.weights[0], weights)


@pytest.mark.parametrize(
    "labels", [LABELS.tolist(), LABELS.astype(np.uint8), LABELS.astype(bool), np.repeat(LABELS, 2)[::2]]
)
def test_labels_of_any_integer_dtype_mean_the_same(labels):
    net = make().net
    assert net.evaluate(X, labels, loss="cross_entropy") == net.evaluate(X, LABELS, loss="cross_entropy")


@pytest.mark.parametrize("batch_size", [ROWS, ROWS + 1, 2**62, 2**63 - 1, 2**63, 10**30])
def test_a_batch_may_be_larger_than_the_data(batch_size):
    whole, huge = make(), make()
    whole.trainer.run(X, Y, steps=3, batch_size=ROWS)
    huge.trainer.run(X, Y, steps=3, batch_size=batch_size)
    assert same_bits(parameters(huge.net), parameters(whole.net))
