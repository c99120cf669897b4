"""What plain networks compute has not moved by a bit; plain_networks.py says what is kept, and how to take it anew."""

import json

import pytest
from plain_networks import ACTIVATIONS, CHOICES, KEPT, NETWORKS, OPTIMIZERS, hashes, kind_of_rounding, train
from support import ISAS, LOSS_CASES

KEPT_HASHES = json.loads(KEPT.read_text())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("number", range(NETWORKS))
def test_weights_losses_and_statistics_are_those_that_were_kept(number, isa):
    learnt, statistics = hashes(number, isa)
    assert learnt == KEPT_HASHES["weights"][kind_of_rounding(isa)][number]
    if isa in KEPT_HASHES["statistics"]:
        assert statistics == KEPT_HASHES["statistics"][isa][number]


def test_the_kept_networks_meet_every_option_and_some_leave_the_range():
    activations, losses, optimizers = (set(chosen) for chosen in list(zip(*CHOICES, strict=True))[:3])
    assert (activations, losses, optimizers) == (set(ACTIVATIONS), set(LOSS_CASES), set(OPTIMIZERS))
    histories = [train(number, ISAS[-1])[1] for number in range(NETWORKS)]
    norms = [history.telemetry.log10("grad_norm") for history in histories if len(history)]
    assert sum(norm.min() < -30 for norm in norms) >= 4
    assert sum(norm.max() > 38 for norm in norms) >= 2
    assert len(norms) >= 48
