"""What clipped networks compute has not moved by a bit; clipped_networks.py says what is kept, how to take it anew."""

import json

import pytest
from clipped_networks import CHOICES, CLIPS, KEPT, NETWORKS, OPTIMIZERS, clip_of, hashes, train
from plain_networks import kind_of_rounding
from support import DTYPES, ISAS

KEPT_HASHES = json.loads(KEPT.read_text())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("number", range(NETWORKS))
def test_weights_losses_norms_and_statistics_are_those_that_were_kept(number, isa):
    learnt, statistics = hashes(number, isa)
    assert learnt == KEPT_HASHES["weights"][kind_of_rounding(isa)][number]
    if isa in KEPT_HASHES["statistics"]:
        assert statistics == KEPT_HASHES["statistics"][isa][number]


def test_the_kept_networks_meet_every_option_and_are_clipped_at_every_size():
    assert {choice[2] for choice in CHOICES} == set(OPTIMIZERS)
    assert {(clip_of(number), choice[3]) for number, choice in enumerate(CHOICES)} == {
        (clip, dtype) for clip in CLIPS for dtype in DTYPES
    }
    done = [statistics for _, _, statistics in (train(number, ISAS[-1]) for number in range(NETWORKS)) if statistics]
    assert len(done) >= 60
    assert sum(min(stats.clip_factor.min() for stats in statistics) < 1.0 for statistics in done) >= 40
    assert sum(max(stats.log10("grad_norm").max() for stats in statistics) > 38 for statistics in done) >= 20
    assert sum(min(stats.log10("grad_norm").min() for stats in statistics) < -30 for statistics in done) >= 4
