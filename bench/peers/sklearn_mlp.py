"""scikit-learn's MLPRegressor, one `partial_fit` on the whole batch a step.

Its loss is half the squared error, summed over outputs in the gradient but averaged in what it reports. A learning rate
of 2 / width times that of the others gives the same steps, and twice its loss is the mean squared error.
"""

from machine import batch, network

from peers import LEARNING_RATE, missing


def name():
    """Return the name shown in tables."""
    return "scikit-learn"


def available():
    """Return why this can't run, or None."""
    return missing("sklearn")


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    from sklearn.neural_network import MLPRegressor

    x, y = batch(width, rows)
    model = MLPRegressor(
        hidden_layer_sizes=(width,) * (layers - 1),
        activation="relu",
        solver="sgd",
        alpha=0.0,
        batch_size=rows,
        learning_rate_init=LEARNING_RATE * 2 / width,
        shuffle=False,
        momentum=0.0,
        nesterovs_momentum=False,
    )
    model.partial_fit(x, y)  # makes the arrays that the common weights go into
    for mine, weights in zip(model.coefs_, network(width, layers).weights, strict=True):
        mine[:] = weights
    for bias in model.intercepts_:
        bias[:] = 0.0

    def step():
        model.partial_fit(x, y)
        return 2.0 * model.loss_

    return step
