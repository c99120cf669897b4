"""Forged files of telemetry, whose CRCs are good: only what their numbers mean can give them away."""

import numpy as np
import pytest

from fastgrad import telemetry
from fastgrad.telemetry import RECORD

NAMES, LAYERS = np.array(RECORD), 1
VALUES = np.zeros((4, len(RECORD), LAYERS))
STEPS = np.arange(0, 12, 3)
FORGED = {
    "steps that are floats": {"steps_000000": STEPS.astype(float)},
    "steps that are NaN": {"steps_000000": np.full(4, np.nan)},
    "steps that fall": {"steps_000000": STEPS[::-1]},
    "steps that stay": {"steps_000000": np.array([0, 3, 3, 6])},
    "steps with a gap": {"steps_000000": np.array([0, 3, 6, 12])},
    "steps that are no multiples": {"steps_000000": STEPS + 1},
    "steps nearer than every": {"steps_000000": np.arange(4)},
    "steps below 0": {"steps_000000": STEPS - 3},
    "steps that overflow": {"steps_000000": np.array([2**63 - 2, -(2**63) + 1, -(2**63) + 4, -(2**63) + 7])},
    "steps as int32": {"steps_000000": STEPS.astype(np.int32)},
    "steps as uint64": {"steps_000000": STEPS.astype(np.uint64)},
    "steps in another order of bytes": {"steps_000000": STEPS.astype(">i8")},
    "steps as bool": {"steps_000000": np.zeros(4, bool)},
    "steps as text": {"steps_000000": STEPS.astype(str)},
    "steps as times": {"steps_000000": STEPS.astype("m8[s]")},
    "steps as objects": {"steps_000000": STEPS.astype(object)},
    "steps as records": {"steps_000000": np.zeros(4, [("a", "<i8")])},
    "steps in two dimensions": {"steps_000000": STEPS.reshape(2, 2)},
    "one step, no array": {"steps_000000": np.int64(0)},
    "no steps": {"steps_000000": STEPS[:0], "statistics_000000": VALUES[:0]},
    "fewer steps": {"steps_000000": STEPS[:3]},
    "more steps": {"steps_000000": np.arange(0, 15, 3)},
    "statistics of float32": {"statistics_000000": VALUES.astype(np.float32)},
    "complex statistics": {"statistics_000000": VALUES.astype(complex)},
    "statistics in Fortran's order": {
        "statistics_000000": np.asfortranarray(np.zeros((4, len(RECORD), 2))),
        "layers": 2,
    },
    "statistics of fewer names": {"statistics_000000": VALUES[:, 1:]},
    "statistics of more layers": {"statistics_000000": np.zeros((4, len(RECORD), 2))},
    "flat statistics": {"statistics_000000": VALUES.ravel()},
    "statistics as objects": {"statistics_000000": VALUES.astype(object)},
    "an exponent that is NaN": {
        "statistics_000000": np.where(NAMES[:, np.newaxis] == "delta_exponent", np.nan, VALUES)
    },
    "an exponent that is half": {"statistics_000000": VALUES + 0.5},
    "an exponent beyond all": {"statistics_000000": VALUES + 2.0**31},
    "every 0": {"every": 0},
    "every below 0": {"every": -3},
    "another every": {"every": 1},
    "every 6": {"every": 6},
    "every a float": {"every": 3.0},
    "every NaN": {"every": np.nan},
    "every an array": {"every": np.array([3])},
    "every as text": {"every": "3"},
    "every None": {"every": None},
    "no layers": {"layers": 0},
    "more layers": {"layers": 2},
    "layers below 0": {"layers": -1},
    "far too many layers": {"layers": 2**62},
    "layers a float": {"layers": 1.0},
    "names of nothing": {"names": np.array([f"{name}s" for name in RECORD])},
    "fewer names": {"names": NAMES[:-1]},
    "a name twice": {"names": np.append(NAMES[:-1], NAMES[0])},
    "names as bytes": {"names": NAMES.astype(bytes)},
    "names as objects": {"names": NAMES.astype(object)},
    "one name": {"names": RECORD[0]},
    "no names": {"names": NAMES[:0]},
    "numbers for names": {"names": np.arange(len(RECORD))},
    "names that are no text": {"names": np.full(len(RECORD), 0x7FFFFFFF, np.uint32).view("<U1")},
    "a second chunk that is the first": {"steps_000001": STEPS, "statistics_000001": VALUES},
    "a second chunk after a gap": {"steps_000001": STEPS + 15, "statistics_000001": VALUES},
    "a second chunk before the first": {"steps_000000": STEPS + 12, "steps_000001": STEPS, "statistics_000001": VALUES},
    "a third chunk": {"steps_000002": STEPS + 12, "statistics_000002": VALUES},
    "a restart that goes on": {"steps_000001_after_4": STEPS + 12, "statistics_000001_after_4": VALUES},
    "half a restart": {"steps_000001_after_4": STEPS, "statistics_000001": VALUES},
    "a restart after fewer steps": {"steps_000001_after_3": STEPS, "statistics_000001_after_3": VALUES},
    "a chunk of another name": {"chunk_000001": STEPS},
    "a member more": {"more": np.ones(3)},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_a_forged_field_with_a_good_crc_is_refused(tmp_path, changes):
    path, good = tmp_path / "run.npz", {"names": NAMES, "every": 3, "layers": LAYERS}
    good |= {"steps_000000": STEPS, "statistics_000000": VALUES}
    np.savez(path, **good)
    assert len(telemetry.load(path)) == 4
    np.savez(path, **(good | changes))
    with pytest.raises(ValueError, match="wants a whole file of telemetry"):
        telemetry.load(path)
