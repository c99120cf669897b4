"""What the data checks let through, how they hand it on, and what they refuse."""

import numpy as np
import pytest

from fastgrad import losses, reference


def test_every_loss_has_a_reference():
    assert set(losses.LOSSES) == set(reference.LOSSES)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_known_losses_pass(name):
    assert losses.check_loss(name) == name


@pytest.mark.parametrize(("name", "error"), [("rmse", ValueError), (None, TypeError), (len, TypeError)])
def test_unknown_losses_are_refused_with_the_list(name, error):
    with pytest.raises(error, match=r"loss: got .*, wants one of mse, l2_norm, mae, huber, cross_entropy"):
        losses.check_loss(name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "X",
    [
        np.arange(6).reshape(3, 2),
        np.array([[True, False], [False, True]]),
        np.asfortranarray(np.random.default_rng(0).random((4, 2))),
        np.random.default_rng(0).random((8, 4))[::2, ::2].astype(">f8"),
        np.ones((1, 2), np.float16),
        [[1, 2.5], [3, 4]],
    ],
)
def test_inputs_are_converted(X, dtype):
    got = losses.check_inputs(X, 2, dtype)
    assert got.dtype == np.dtype(dtype)
    assert got.dtype.isnative
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, np.asarray(X).astype(dtype))


def test_inputs_that_fit_are_not_copied():
    X = np.ones((5, 3), np.float32)
    X.flags.writeable = False
    assert losses.check_inputs(X, 3, "float32") is X


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((3, 2), complex), TypeError, "X: got ndarray of dtype complex128, wants a real numeric array"),
        ([["a", "b"]], TypeError, "X: got list of dtype <U1"),
        ([[object(), 1]], TypeError, "X: got list of dtype object"),
        (np.zeros((2, 2), "datetime64[s]"), TypeError, "X: got ndarray of dtype datetime64"),
        (None, TypeError, "X: got NoneType"),
        ([[1, 2], [3]], ValueError, "X: got rows of different lengths, wants a rectangular array"),
        (np.ones(2), ValueError, r"X: got shape \(2,\), wants \(n, 2\) with n >= 1"),
        (np.ones((2, 3)), ValueError, r"X: got shape \(2, 3\), wants \(n, 2\)"),
        (np.ones((2, 2, 2)), ValueError, r"X: got shape \(2, 2, 2\)"),
        (np.ones((0, 2)), ValueError, r"X: got shape \(0, 2\)"),
    ],
)
def test_bad_inputs_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        losses.check_inputs(X, 2, "float32")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 2), (40_000, 1), (69_999, 2)])
def test_a_value_that_is_not_finite_is_named_by_row_and_column(value, row, column):
    X = np.zeros((70_000, 3))
    X[row, column] = value
    with pytest.raises(ValueError, match=f"inputs: row {row}, column {column} is {value}, wants a value finite"):
        losses.check_inputs(X, 3, "float64", name="inputs")


def test_a_value_too_large_for_the_dtype_is_named_as_given():
    X = np.array([[1.0, 2.0], [3.0, -1e39]])
    with pytest.raises(ValueError, match=r"X: row 1, column 1 is -1e\+39, wants a value finite in float32"):
        losses.check_inputs(X, 2, "float32")
    assert losses.check_inputs(X, 2, "float64") is X


def test_the_finite_check_needs_no_memory_of_the_size_of_the_data():
    tracemalloc = pytest.importorskip("tracemalloc")
    X = np.ones((4000, 1000))
    tracemalloc.start()
    losses.check_inputs(X, 1000, "float64")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.size / 10


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int32, bool, ">i4"])
def test_labels_become_int64(dtype):
    got = losses.check_targets("cross_entropy", np.array([0, 1, 1], dtype), 3, 2, "float32")
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, [0, 1, 1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 1], r"y: row 1 is 3, wants a label in \[0, 3\) for 3 classes"),
        ([0, 1, -1], "y: row 2 is -1"),
        (np.array([0, 1, 2**63], np.uint64), "y: row 2 is 9223372036854775808"),
        ([0, 1], "y: got 2 labels, wants 3, one for each row of X"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        losses.check_targets("cross_entropy", labels, 3, 3, "float32")


def test_labels_that_are_floats_are_refused():
    with pytest.raises(TypeError, match=r"y: got labels of dtype float64, wants integers, or probabilities \(3, 2\)"):
        losses.check_targets("cross_entropy", [0.0, 1.0, 0.0], 3, 2, "float32")


@pytest.mark.parametrize("name", losses.LOSSES)
def test_real_targets_keep_their_values(name):
    y = np.array([[0.0, 1.0], [0.25, 0.75], [1.0, 0.0]])
    got = losses.check_targets(name, np.asfortranarray(y), 3, 2, "float32")
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, y)


def test_one_hot_integers_are_probabilities():
    got = losses.check_targets("cross_entropy", np.eye(3, dtype=int), 3, 3, "float64")
    np.testing.assert_array_equal(got, np.eye(3))
    assert got.dtype == np.float64


@pytest.mark.parametrize("name", ["mse", "l2_norm", "mae", "huber", "binary_cross_entropy"])
def test_a_vector_is_a_column_where_there_is_one_output(name):
    got = losses.check_targets(name, [0.0, 1.0, 0.5], 3, 1, "float64")
    np.testing.assert_array_equal(got, [[0.0], [1.0], [0.5]])
    with pytest.raises(ValueError, match=r"y: got shape \(3,\), wants \(3, 2\)$"):
        losses.check_targets(name, [0.0, 1.0, 0.5], 3, 2, "float64")


@pytest.mark.parametrize(
    ("name", "y", "error", "message"),
    [
        ("mse", [[1.0, 2.0]], ValueError, r"y: got shape \(1, 2\), wants \(2, 2\)$"),
        ("cross_entropy", [[1.0, 2.0]], ValueError, r"wants \(2, 2\) or integer labels of shape \(2,\)"),
        ("mse", [[1.0, 2.0], [np.nan, 0.0]], ValueError, "y: row 1, column 0 is nan"),
        ("mae", [["1", "2"], ["3", "4"]], TypeError, "y: got list of dtype <U1"),
        ("cross_entropy", [[0.5, 0.5], [1.1, -0.1]], ValueError, "row 1, column 1 is -0.1, wants a probability >= 0"),
        ("cross_entropy", [[0.5, 0.5], [np.inf, 0]], ValueError, "row 1, column 0 is inf, wants a value finite"),
        ("binary_cross_entropy", [[0.5, 0], [1.5, 0]], ValueError, r"row 1, column 0 is 1.5, wants .* \[0, 1\]"),
        ("binary_cross_entropy", [[0.5, -1], [1, 0]], ValueError, r"row 0, column 1 is -1.0, wants .* \[0, 1\]"),
        ("hinge", [[0.5, -1], [1, 0]], ValueError, "loss: got 'hinge'"),
    ],
)
def test_bad_targets_are_refused(name, y, error, message):
    with pytest.raises(error, match=message):
        losses.check_targets(name, y, 2, 2, "float32")
