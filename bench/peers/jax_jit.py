"""JAX: the whole step, update included, in one jitted function that is given its parameters' memory back.

XLA takes as many threads as the process may use cores; nothing else limits them, and only before JAX starts.
"""

from machine import batch, network

from peers import LEARNING_RATE, missing


def name():
    """Return the name shown in tables."""
    return "JAX jit"


def available():
    """Return why this can't run, or None."""
    return missing("jax")


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    import jax
    from jax import numpy as jnp

    def loss_of(parameters, x, y):
        for weights, bias in parameters[:-1]:
            x = jax.nn.relu(x @ weights + bias)
        weights, bias = parameters[-1]
        return jnp.mean((x @ weights + bias - y) ** 2)

    def updated(parameters, x, y):
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, parameters, gradients), loss

    compiled = jax.jit(updated, donate_argnums=0)
    x, y = (jnp.array(array) for array in batch(width, rows))
    parameters = [(jnp.array(weights), jnp.zeros(width)) for weights in network(width, layers).weights]

    def step():
        nonlocal parameters
        parameters, loss = compiled(parameters, x, y)
        return loss.item()

    return step
