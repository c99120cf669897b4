"""Fastgrad through its Python API, with all statistics of every layer at every step unless told otherwise."""

from machine import batch, network

import fastgrad as fg
from peers import LEARNING_RATE


def name():
    """Return the name shown in tables."""
    return "fastgrad"


def available():
    """Return None: this runs everywhere."""
    return None


def make(width, layers, rows, telemetry=True):
    """Return a function that does one step and returns its loss."""
    x, y = batch(width, rows)
    trainer = trainer_of(width, layers, telemetry)
    return lambda: trainer.step(x, y)


def trainer_of(width, layers, telemetry=True):
    """Return a Trainer of the network that all peers train."""
    optimizer = fg.SGD(lr=LEARNING_RATE)
    return fg.Trainer(network(width, layers), loss="mse", optimizer=optimizer, telemetry=telemetry)
