"""Studies: each GAN is the one that is trained alone, and a broken-off wave goes on."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from gan_jax import data, recipes, training
from gan_jax.devices import many
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, loop
from gan_jax.study import sweep, trainer, waves
from tests.run import making

STEPS = 5
pytestmark = pytest.mark.usefixtures("small_networks_of_module")


@pytest.fixture(scope="module")
def dataset():
    return making.noise(64)


def plan(num_devices=2, at_once=1, every=2, steps=STEPS, size=64):
    images = data.Description("garments", (28, 28, 1), 10, size)
    return waves.Plan(images, 1, steps, num_devices, at_once, every)


def program(text, loss="nonsaturating"):
    axes = sweep.parse(f"batch_size:8,{text}")
    [only] = sweep.programs(sweep.expand([loss], "published", axes))
    return only


RATES = program("generator_lr:1e-4..1e-2:log,seed:0..2")


def wave_of(program, plan, begin=0, end=STEPS):
    return [*waves.pack(program, plan, program.runs, begin=begin, end=end)]


# One program for the calls of this file, where none has to be compiled anew.
TRAINERS = {}


def train(
    program,
    dataset,
    plan,
    folder,
    should_stop=lambda: False,
    say=print,
    recorded=True,
    kept=TRAINERS,
    **how,
):
    """Every wave, until one is broken off: its runs and how they ended."""
    how = {"end": plan.steps} | how
    plan = plan.fit(len(program.runs))
    each = wave_of(program, plan, **how)
    key = str((program.recipe, program.names, plan, len(dataset.images)))
    if key not in kept:
        kept[key] = trainer.Trainer(each[0], dataset)
    taught = kept[key]
    taught._say = say
    found = []
    for wave in each:
        trained = taught.train(wave, folder, should_stop)
        if trained is None:
            break
        found.append((wave, trained))
        if recorded and folder is not None:
            trainer.wave_file(folder, wave).unlink(missing_ok=True)
    return found


def finish(trained):
    """Everything that waves end with, run by run, on the host."""
    return [
        (run, jax.device_get(jax.random.key_data(state.key)), jax.device_get(params))
        for wave, done in trained
        for i, run in enumerate(wave.runs)
        for state in [many.pick(done.states, i)]
        for params in [(state.generator.params, state.generator.batch_stats)]
    ]


def saved_in(folder):
    return [*(folder / trainer.WAVE).glob("*")]


def assert_same_bytes(found, expected):
    assert [run for run, *_ in found] == [run for run, *_ in expected]
    for (_, *a), (_, *b) in zip(found, expected, strict=True):
        assert checkpoints.digest(a) == checkpoints.digest(b)


@pytest.fixture(scope="module")
def whole(dataset, tmp_path_factory):
    """Three GANs on two devices: a wave of two, and one that is filled up."""
    folder = tmp_path_factory.mktemp("whole")
    found = finish(train(RATES, dataset, plan(), folder))
    assert saved_in(folder) == []
    return found


def test_a_program_is_compiled_once_for_all_its_waves(dataset, monkeypatch):
    """What is compiled stays in memory: a study has thousands of waves."""
    calls = []

    def counted(name):
        compile_one = getattr(many, name)

        def call(*args, **how):
            calls.append(name)
            return compile_one(*args, **how)

        monkeypatch.setattr(many, name, call)

    for name in ("compile_initialise", "compile_train_steps"):
        counted(name)
    said = []
    assert len(train(RATES, dataset, plan(), None, say=said.append, kept={})) == 2
    assert len(said) == 1
    assert sorted(calls) == ["compile_initialise", "compile_train_steps"]


def test_a_gan_is_the_one_that_train_makes_of_its_flags(dataset, tmp_path):
    """In float32 and after one step of Adam: later, rounding has grown."""
    first = plan(steps=1)
    found = finish(train(RATES, dataset, first, tmp_path))
    run, _, (params, _) = found[-1]
    config = first.config(run)
    folder = tmp_path / f"{run.seed}"
    folder.mkdir()
    alone = loop.train(config, dataset, folder, devices=jax.devices()[:1])
    assert config.recipe.generator_lr == run.recipe.generator_lr
    moved, expected = (
        np.asarray(p["Dense_0"]["kernel"]) for p in (params, alone.generator.params)
    )
    step = run.recipe.generator_lr
    # Adam's first step has the length of the learning rate wherever the gradient
    # is not lost in rounding.
    assert np.mean(np.abs(moved - expected) > 0.01 * step) < 1e-3


def test_gans_of_one_sweep_end_in_different_places(whole):
    kernels = [params["Dense_0"]["kernel"] for _, _, (params, _) in whole]
    assert len({kernel.tobytes() for kernel in kernels}) == 3
    assert len({run.recipe.generator_lr for run, *_ in whole}) == 3


@pytest.mark.parametrize(
    "stop", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 1))]
)
def test_a_wave_that_was_broken_off_ends_in_the_same_bytes(
    whole, stop, dataset, tmp_path
):
    asked = iter([False] * stop + [True])
    assert train(RATES, dataset, plan(), tmp_path, lambda: next(asked)) == []
    assert len(saved_in(tmp_path)) == (stop > 0)
    said = []
    how = {"say": said.append, "kept": {}}  # compiled anew, as in another process
    found = finish(train(RATES, dataset, plan(), tmp_path, **how))
    assert any("going on" in line for line in said) == (stop > 0)
    assert_same_bytes(found, whole)


def test_seconds_are_not_told_of_a_wave_that_was_broken_off(dataset, tmp_path):
    asked = iter([False, True])
    train(RATES, dataset, plan(), tmp_path, lambda: next(asked))
    found = train(RATES, dataset, plan(), tmp_path)
    first, second = (trained.seconds for _, trained in found)
    assert first is None
    assert second > 0


@pytest.mark.parametrize(
    "other", ["runs", pytest.param("layout", marks=pytest.mark.slow)]
)
def test_what_other_gans_have_saved_is_not_touched(whole, other, dataset, tmp_path):
    asked = iter([False, True])
    others = program("generator_lr:1e-4..1e-2:log,seed:3..5")
    there = (others, plan()) if other == "runs" else (RATES, plan(at_once=2))
    assert train(there[0], dataset, there[1], tmp_path, lambda: next(asked)) == []
    [kept] = saved_in(tmp_path)
    said = []
    found = finish(train(RATES, dataset, plan(), tmp_path, say=said.append))
    assert not any("going on" in line for line in said)
    assert_same_bytes(found, whole)
    assert saved_in(tmp_path) == [kept]


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_file_is_said_and_not_used(whole, damage, dataset, tmp_path):
    asked = iter([False, False, True])
    train(RATES, dataset, plan(), tmp_path, lambda: next(asked))
    [path] = saved_in(tmp_path)
    there = path.read_bytes()
    middle = len(there) // 2
    changed = bytes(255 - byte for byte in there[middle : middle + 99])
    path.write_bytes(
        there[:middle] + (b"" if damage == "cut" else changed + there[middle + 99 :])
    )
    said = []
    found = finish(train(RATES, dataset, plan(), tmp_path, say=said.append))
    assert any(path.name in line and "not used" in line for line in said)
    assert_same_bytes(found, whole)


def test_gans_go_on_from_a_rung_in_other_company(whole, dataset, tmp_path):
    """Trained to step 2, all of them, and then two of them, together."""
    train(RATES, dataset, plan(), tmp_path, end=2)
    assert len([*(tmp_path / trainer.RUNG).iterdir()]) == 3
    best = RATES._replace(runs=[RATES.runs[0], RATES.runs[2]])
    said = []
    how = {"begin": 2, "say": said.append, "kept": {}}
    found = finish(train(best, dataset, plan(), tmp_path, **how))
    assert "going on with a wave at step 2" in said
    assert_same_bytes(found, [whole[0], whole[2]])


@pytest.mark.parametrize("every", [1, 100])
def test_what_was_trained_and_not_recorded_is_not_trained_again(
    every, whole, dataset, tmp_path
):
    """Killed while it was measured: at the end, and at a rung."""
    for begin, end in ((0, 2), (2, 4), (4, STEPS)):
        how = {"begin": begin, "end": end}
        for recorded in (False, True):
            said = []
            found = train(
                RATES,
                dataset,
                plan(every=every),
                tmp_path,
                say=said.append,
                recorded=recorded,
                **how,
            )
        if every == 1 or end < STEPS:
            assert f"going on with a wave at step {end - (every == 1)}" in said
    assert_same_bytes(finish(found), whole)


def test_gans_whose_rung_is_lost_begin_anew(whole, dataset, tmp_path):
    train(RATES, dataset, plan(), tmp_path, end=2)
    next((tmp_path / trainer.RUNG).iterdir()).unlink()
    said = []
    found = finish(train(RATES, dataset, plan(), tmp_path, begin=2, say=said.append))
    assert sum("from the start" in line for line in said) == 1
    assert_same_bytes(found, whole)


def test_nothing_is_saved_without_a_folder(dataset, tmp_path):
    asked = iter([False, True])
    assert train(RATES, dataset, plan(), None, lambda: next(asked)) == []
    assert len(train(RATES, dataset, plan(), None, end=2)) == 2
    assert [*tmp_path.iterdir()] == []


def test_a_gan_that_goes_wrong_stops_no_other(dataset, tmp_path):
    rates = program("generator_lr:1e30|1e-3")
    asked = iter([False, False, True])
    assert (
        train(rates, dataset, plan(), tmp_path, lambda: next(asked)) == []
    )  # a state with NaN is saved, and gone on with
    wrong, right = finish(train(rates, dataset, plan(), tmp_path))
    finite = [
        all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
        for _, _, params in (wrong, right)
    ]
    assert finite == [False, True]


@pytest.mark.slow
def test_more_side_by_side_or_more_devices_are_the_same_gans(whole, dataset, tmp_path):
    """After one step; their bits depend on what the compiler makes of the program."""
    first = plan(steps=1)
    other = plan(num_devices=1, at_once=4, steps=1)
    one, two = (finish(train(RATES, dataset, how, tmp_path)) for how in (first, other))
    for (run, key, a), (same, same_key, b) in zip(one, two, strict=True):
        assert run == same
        np.testing.assert_array_equal(key, same_key)
        step = run.recipe.generator_lr
        off = [
            np.abs(x - y) > 0.01 * step
            for x, y in zip(*map(jax.tree.leaves, (a[0], b[0])), strict=True)
        ]
        assert np.mean(np.concatenate([o.ravel() for o in off])) < 1e-3


def test_data_that_are_too_few_for_a_step_are_refused(tmp_path):
    few = making.noise(4)
    with pytest.raises(UserError, match="--batch_size"):
        train(RATES, few, plan(size=4), tmp_path)
    assert list(pathlib.Path(tmp_path).iterdir()) == []


def test_epochs_are_counted_in_steps_of_each_recipe():
    by_epochs = dataclasses.replace(plan(size=120, steps=None), epochs=3)
    recipe = recipes.recipe("wasserstein", batch_size=10, critic_steps=5)
    assert by_epochs.steps_of(recipe) == 3 * 2
    assert plan(size=120).steps_of(recipe) == STEPS
    assert training.steps_per_epoch(recipes.make_gan(recipe), 120, 10) == 2


def test_no_place_is_left_empty_that_can_be_left_out():
    wide = plan(num_devices=4, at_once=32)
    layouts = [
        (fitted.num_devices, fitted.at_once)
        for fitted in map(wide.fit, (1, 3, 4, 9, 1000))
    ]
    assert layouts == [(1, 1), (3, 1), (4, 1), (4, 3), (4, 32)]
