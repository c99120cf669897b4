"""Clipped training: trajectories against the reference and PyTorch, and what must not depend on how it is done."""

import math
import warnings
from functools import cache

import numpy as np
import pytest
from clipping import LOOSE, clips, oracle_step, parameters_of
from support import DTYPES, ISAS, draw_case, parameters, relative, same_bits

import fastgrad as fg
from fastgrad.telemetry import STATISTICS, load

STEPS = 50
OPTIMIZERS = (
    (fg.SGD(lr=0.05), "SGD"),
    (fg.SGD(lr=0.05, momentum=0.9, weight_decay=0.01), "SGD"),
    (fg.SGD(lr=0.05, momentum=0.8, weight_decay=0.01, nesterov=True), "SGD"),
    (fg.Adam(lr=0.01, weight_decay=0.02), "Adam"),
    (fg.AdamW(lr=0.01, weight_decay=0.1), "AdamW"),
    (fg.RMSprop(lr=1e-3, weight_decay=0.02), "RMSprop"),
    (fg.RMSprop(lr=1e-3, momentum=0.5, centered=True), "RMSprop"),
)
SHAPES = {
    "ragged": ([6, 11, 9, 4], ["tanh", "silu", "identity"], True),
    "without biases": ([7, 70, 5, 3], ["gelu", "tanh", "identity"], False),
    "one layer": ([13, 5], ["identity"], True),
    "wide": ([19, 131, 66, 17, 4], ["softplus", "elu", "tanh", "identity"], True),
}
ROWS = 37
by_clip = clips(value=0.03, norm=0.5, layer=0.3, adaptive=0.05)
by_optimizer = pytest.mark.parametrize(("optimizer", "torch_name"), OPTIMIZERS, ids=[str(o) for o, _ in OPTIMIZERS])
TASKS = [  # every optimizer on two of the shapes, every shape under three optimizers at least
    (list(SHAPES)[(number + more) % len(SHAPES)], *pair) for number, pair in enumerate(OPTIMIZERS) for more in (0, 1)
]
by_task = pytest.mark.parametrize(
    ("shape", "optimizer", "torch_name"), TASKS, ids=[f"{shape}-{optimizer}" for shape, optimizer, _ in TASKS]
)
by_isa = pytest.mark.parametrize("isa", ISAS)


def drawn(shape):
    sizes, activations, bias = SHAPES[shape]
    return draw_case(np.random.default_rng(8), sizes, activations, "cross_entropy", "labels", n=ROWS, bias=bias)


def batch(case, step):
    """Return batches of three lengths, in turn."""
    rows = np.random.default_rng(step).permutation(ROWS)[: (ROWS, 17, 5)[step % 3]]
    return case.X[rows], case.y[rows]


@cache
def oracle(shape, optimizer, clip, steps=STEPS):
    case, found, step = drawn(shape), [], None
    for number in range(steps):
        X, y = batch(case, number)
        step = oracle_step(case, optimizer, clip, X, y, step)
        found.append(step)
    return found


def train(case, optimizer, clip, isa=ISAS[-1], dtype="float64", steps=STEPS, **options):
    """Return the trainer after some steps, the losses, the norms, and the statistics of each step."""
    trainer = fg.Trainer(case.build(isa, dtype), case.loss, optimizer, clip=clip, **options)
    losses, norms, statistics = [], [], []
    for step in range(steps):
        losses.append(trainer.step(*batch(case, step)))
        norms.append(trainer.clip_norm)
        if options.get("telemetry", True):
            statistics.append(trainer.stats.copy())
    return trainer, np.array(losses), np.array(norms), statistics


@by_clip
@by_task
@by_isa
def test_fifty_steps_follow_the_reference(shape, isa, optimizer, torch_name, clip):
    case = drawn(shape)
    exact = oracle(shape, optimizer, clip)
    trainer, losses, norms, statistics = train(case, optimizer, clip, isa)
    np.testing.assert_allclose(losses, [step.loss for step in exact], rtol=1e-10)
    for got, want in zip(parameters(trainer.net), parameters_of(case, exact[-1]), strict=True):
        assert relative(got, want) <= 1e-10
    if clip == fg.ClipNorm(clip.c):
        np.testing.assert_allclose(norms, [step.norm for step in exact], rtol=1e-9)
    factors = np.array([step.statistics["clip_factor"] for step in exact])
    np.testing.assert_allclose([stats.clip_factor for stats in statistics], factors, rtol=1e-9)
    assert (factors < 0.99).any() or (len(case.weights) == 1 and not getattr(clip, "output", True))
    for name in ("grad_norm", "grad_max", "bias_grad_norm", "update_norm", "weight_norm"):
        if name != "bias_grad_norm" or case.biases:
            got, want = [stats[name] for stats in statistics], [step.statistics[name] for step in exact]
            np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-13, err_msg=name)


def torch_clip(torch, clip, pairs):
    """Clip the gradients of (weights, bias) pairs in place as PyTorch does, and unit by unit as Brock et al. do."""
    flat = [tensor for pair in pairs for tensor in pair]
    if isinstance(clip, fg.ClipValue):
        torch.nn.utils.clip_grad_value_(flat, clip.c)
    elif clip == fg.ClipNorm(clip.c):
        torch.nn.utils.clip_grad_norm_(flat, clip.c)
    elif isinstance(clip, fg.ClipNorm):
        for pair in pairs:
            torch.nn.utils.clip_grad_norm_(pair, clip.c)
    else:
        for pair in pairs if clip.output else pairs[:-1]:
            for tensor in pair:
                lengths = tensor.detach().norm(dim=0).clamp(min=clip.eps), tensor.grad.norm(dim=0).clamp(min=1e-300)
                tensor.grad *= (clip.c * lengths[0] / lengths[1]).clamp(max=1.0)


@cache
def torch_trajectory(shape, optimizer, torch_name, clip):
    """Return the losses and the parameters after fifty steps of PyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    case = drawn(shape)
    layers = len(case.weights)
    tensors = [torch.tensor(array, requires_grad=True) for array in (*case.weights, *case.biases)]
    pairs = [tensors[layer::layers] for layer in range(layers)]
    kind = getattr(torch.optim, torch_name)(tensors, **vars(optimizer))
    functions = {"identity": lambda z: z} | {
        name: getattr(torch.nn.functional, name) for name in ("tanh", "silu", "gelu", "softplus", "elu")
    }
    losses = []
    for step in range(STEPS):
        a, y = (torch.tensor(array) for array in batch(case, step))
        for pair, name in zip(pairs, case.activations, strict=True):
            z = a @ pair[0] + (pair[1] if case.biases else 0.0)
            a = functions[name](z)
        loss = torch.nn.functional.cross_entropy(a, y)
        kind.zero_grad()
        loss.backward()
        torch_clip(torch, clip, pairs)
        kind.step()
        losses.append(loss.item())
    return losses, [tensor.detach().numpy() for tensor in tensors]


@by_clip
@by_task
def test_fifty_steps_of_the_reference_follow_pytorch(shape, optimizer, torch_name, clip):
    case = drawn(shape)
    losses, arrays = torch_trajectory(shape, optimizer, torch_name, clip)
    steps = oracle(shape, optimizer, clip)
    np.testing.assert_allclose([step.loss for step in steps], losses, rtol=1e-10)
    for got, want in zip(parameters_of(case, steps[-1]), arrays, strict=True):
        assert relative(got, want) <= 1e-10


@by_clip
@by_task
def test_fifty_steps_follow_pytorch(shape, optimizer, torch_name, clip):
    case = drawn(shape)
    losses, arrays = torch_trajectory(shape, optimizer, torch_name, clip)
    trainer, found, _, _ = train(case, optimizer, clip)
    np.testing.assert_allclose(found, losses, rtol=1e-10)
    for got, want in zip(parameters(trainer.net), arrays, strict=True):
        assert relative(got, want) <= 1e-10


@by_clip
@by_optimizer
@by_isa
def test_float32_stays_close_to_the_reference(isa, optimizer, torch_name, clip):
    case = drawn("ragged")
    exact = oracle("ragged", optimizer, clip, 10)
    trainer, losses, norms, statistics = train(case, optimizer, clip, isa, "float32", 10)
    np.testing.assert_allclose(losses, [step.loss for step in exact], rtol=1e-4)
    for got, want in zip(parameters(trainer.net), parameters_of(case, exact[-1]), strict=True):
        assert relative(got, want) < 3e-4
    factors = [step.statistics["clip_factor"] for step in exact]
    np.testing.assert_allclose([stats.clip_factor for stats in statistics], factors, rtol=2e-3)
    if clip == fg.ClipNorm(clip.c):
        np.testing.assert_allclose(norms, [step.norm for step in exact], rtol=2e-3)


@by_optimizer
@pytest.mark.parametrize("dtype", DTYPES)
@by_isa
def test_a_factor_of_one_leaves_the_bits_of_an_unclipped_run(isa, dtype, optimizer, torch_name):
    case, steps = drawn("wide"), 20
    plain, losses, _, statistics = train(case, optimizer, None, isa, dtype, steps)
    for clip in LOOSE:
        clipped, same_losses, _, more = train(case, optimizer, clip, isa, dtype, steps)
        assert same_bits([losses, *parameters(plain.net)], [same_losses, *parameters(clipped.net)]), clip
        statistics += more
    np.testing.assert_array_equal([stats.clip_factor for stats in statistics], 1.0)


@by_clip
def test_statistics_are_those_before_clipping_but_for_the_update(clip):
    case, optimizer = drawn("wide"), fg.SGD(lr=0.05)
    _, _, _, (plain,) = train(case, optimizer, None, steps=1)
    _, _, _, (clipped,) = train(case, optimizer, clip, steps=1)
    for name in set(STATISTICS) - {"update_norm", "update_ratio", "clip_factor"}:
        np.testing.assert_array_equal(clipped[name], plain[name], err_msg=name)
    np.testing.assert_allclose(clipped.update_norm, plain.update_norm * clipped.clip_factor, rtol=1e-10)
    assert clipped.clip_factor.min() < 1.0


@by_clip
@pytest.mark.parametrize("dtype", DTYPES)
def test_without_telemetry_weights_and_norms_are_the_same(dtype, clip):
    case = drawn("ragged")
    for optimizer, _ in OPTIMIZERS:
        seen, *with_statistics, _ = train(case, optimizer, clip, dtype=dtype)
        unseen, *without, _ = train(case, optimizer, clip, dtype=dtype, telemetry=False)
        assert same_bits([*with_statistics, *parameters(seen.net)], [*without, *parameters(unseen.net)])


@by_clip
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_run_is_a_loop_over_steps(dtype, clip):
    case, size = drawn("wide"), 11
    nets = [case.build(ISAS[-1], dtype) for _ in range(2)]
    run, looped = (fg.Trainer(net, case.loss, "adam", clip=clip) for net in nets)
    history = run.run(case.X, case.y, steps=10, batch_size=size, shuffle=False)
    losses, factors = [], []
    for step in range(10):
        start = size * (step % 4)
        losses.append(looped.step(case.X[start : start + size], case.y[start : start + size]))
        factors.append(looped.stats.clip_factor.copy())
    assert same_bits([history.loss, *parameters(nets[0])], [np.array(losses), *parameters(nets[1])])
    np.testing.assert_array_equal(history.telemetry["clip_factor"], factors)
    assert np.array([run.clip_norm]).tobytes() == np.array([looped.clip_norm]).tobytes()


@by_clip
def test_fit_clips(clip):
    case = drawn("ragged")
    nets = [case.build(ISAS[-1], "float32") for _ in range(2)]
    options = {"batch_size": 16, "shuffle": False}
    fitted = nets[0].fit(case.X, case.y, loss=case.loss, optimizer="sgd", epochs=3, clip=clip, **options)
    history = fg.Trainer(nets[1], case.loss, "sgd", clip=clip).run(case.X, case.y, epochs=3, **options)
    assert same_bits([fitted.loss, *parameters(nets[0])], [history.loss, *parameters(nets[1])])
    assert fitted.telemetry["clip_factor"].min() < 1.0


@pytest.mark.parametrize("sizes", [[50, 131, 64, 77, 10], [61, 900, 301, 10]], ids=["sliced", "shared by columns"])
@pytest.mark.parametrize("dtype", DTYPES)
@by_isa
@clips(value=1e-3, norm=0.1, layer=0.05, adaptive=0.01)
def test_the_number_of_threads_does_not_change_a_bit(clip, isa, dtype, sizes):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, sizes[0])), rng.integers(0, sizes[-1], 300)
    outcomes = []
    for threads in (1, 2, 3, 5, 8):
        fg.set_num_threads(threads)
        with fg.force_isa(isa):
            net = fg.MLP(sizes, activation="gelu", dtype=dtype, seed=3)
        trainer = fg.Trainer(net, "cross_entropy", clip=clip)
        history = trainer.run(X, y, steps=2, batch_size=170)
        assert history.telemetry["clip_factor"].min() < 1.0
        rows = [history.telemetry[name] for name in history.telemetry]
        outcomes.append([history.loss, np.array([trainer.clip_norm]), *rows, *parameters(net)])
    for outcome in outcomes[1:]:
        assert same_bits(outcome, outcomes[0])


@by_clip
def test_clip_factors_are_kept_in_a_file(tmp_path, clip):
    case, path = drawn("ragged"), tmp_path / "run.npz"
    trainer = fg.Trainer(case.build(ISAS[-1], "float32"), case.loss, clip=clip, telemetry=fg.Telemetry(file=path))
    history = trainer.run(case.X, case.y, steps=9, batch_size=8)
    loaded = load(path)
    np.testing.assert_array_equal(loaded["clip_factor"], history.telemetry["clip_factor"])
    assert loaded["clip_factor"].shape == (9, 3)
    assert loaded["clip_factor"].min() < 1.0


@pytest.mark.parametrize("clip", [None, *LOOSE], ids=repr)
def test_the_norm_is_told_after_a_step_where_it_is_what_clips(clip):
    case = drawn("ragged")
    trainer, _, _, _ = train(case, "sgd", clip, steps=0)
    assert trainer.clip == clip
    assert math.isnan(trainer.clip_norm)
    trainer.step(case.X, case.y)
    assert type(trainer.clip_norm) is float
    if clip is None or clip != fg.ClipNorm(clip.c):
        assert math.isnan(trainer.clip_norm)
    else:
        exact = oracle_step(case, fg.SGD(), clip, case.X, case.y).norm
        assert trainer.clip_norm == pytest.approx(exact, rel=1e-12)
