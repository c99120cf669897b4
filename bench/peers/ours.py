"""Fastgrad through its Python API. There is no step without statistics: all are measured in every one."""

from machine import batch, network

import fastgrad as fg
from peers import LEARNING_RATE


def name():
    """Return the name shown in tables."""
    return "fastgrad"


def available():
    """Return None: this runs everywhere."""
    return None


def make(width, layers, rows):
    """Return a function that does one step and returns its loss."""
    x, y = batch(width, rows)
    trainer = trainer_of(width, layers)
    return lambda: trainer.step(x, y)


def trainer_of(width, layers):
    """Return a Trainer of the network that all peers train."""
    return fg.Trainer(network(width, layers), loss="mse", optimizer=fg.SGD(lr=LEARNING_RATE))
