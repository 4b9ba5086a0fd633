"""The host's side: when it writes, what it writes, and going on after a stop."""

import dataclasses
import itertools
import time

import chex
import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import plots, recipes, training
from gan_jax.devices import compilation, parallel
from gan_jax.errors import UserError
from gan_jax.run import configuration, loop, recorder, sample_grids
from gan_jax.run.metrics_log import read_metrics
from tests import small
from tests.run import making

SCHEDULE = loop.Schedule(log_every=2, sample_every=3, checkpoint_every=4)
SAVE_CURVES = plots.save_curves


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    with pytest.MonkeyPatch.context() as patch:
        small.install(patch.setattr)
        making.compile_once(patch.setattr)
        yield


@pytest.fixture(scope="module")
def dataset():
    return making.noise(90)


def config(steps, **changes):
    """Eleven steps an epoch."""
    made = configuration.Config(
        recipes.recipe("nonsaturating", batch_size=8), "garments", 0, steps
    )
    return dataclasses.replace(made, **changes)


def train(workdir, dataset, config, schedule=SCHEDULE, evaluate=None):
    said = []
    state = making.train(
        config,
        dataset,
        workdir,
        schedule=schedule,
        evaluate=evaluate,
        devices=jax.devices()[:1],
        say=said.append,
    )
    return state, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory, dataset):
    """A run of 13 steps, into its second epoch, that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:  # this one draws its curves
        patch.setattr(plots, "save_curves", SAVE_CURVES)
        return workdir, *train(workdir, dataset, config(13))


def test_a_run_leaves_everything_that_a_run_folder_holds(whole):
    workdir, state, said = whole
    assert int(state.step) == 13
    assert [path.name for path in sorted((workdir / "samples").iterdir())] == [
        f"step_{step:06d}.png" for step in (3, 6, 9, 12, 13)
    ]
    lines = read_metrics(workdir)
    assert [line["step"] for line in lines] == [2, 3, 4, 6, 8, 9, 10, 11, 12, 13]
    for line in lines:
        assert line["epoch"] == pytest.approx(line["step"] / 11, abs=1e-4)
        assert line["images_per_second"] > 0
        assert {"d_loss", "g_loss", "d_gradient_norm", "seconds"} <= set(line)
    seconds = [line["seconds"] for line in lines]  # in whole milliseconds
    assert seconds == sorted(seconds)
    assert seconds[0] < seconds[-1]
    assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == ["12", "13"]
    for name in ("real.png", "curves.png"):
        Image.open(workdir / name).verify()
    assert len(list(workdir.glob("events.out.*"))) == 1
    assert any(line.startswith("compiled in") for line in said)


def test_a_run_in_two_sittings_is_the_run_in_one(whole, tmp_path, dataset):
    workdir, expected, _ = whole
    train(tmp_path / "run", dataset, config(5))
    state, said = train(tmp_path / "run", dataset, config(13))
    assert "step 5" in said[0]

    def numbers(state):
        return state.replace(key=jax.random.key_data(state.key))

    chex.assert_trees_all_equal(numbers(state), numbers(expected))
    for step in (3, 6, 9, 12, 13):
        name = f"samples/step_{step:06d}.png"
        assert (tmp_path / "run" / name).read_bytes() == (workdir / name).read_bytes()
    steps = [line["step"] for line in read_metrics(tmp_path / "run")]
    assert steps == [2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]


def test_what_is_written_does_not_depend_on_how_many_steps_are_taken_at_once(
    tmp_path, dataset, monkeypatch
):
    schedule = loop.Schedule(log_every=2, sample_every=6, checkpoint_every=12)
    advanced = {}
    for most in (0, 1000):
        chunks = advanced.setdefault(most, [])
        after = recorder.Recorder.after

        def counted(self, step, count, *rest, chunks=chunks, after=after):
            chunks.append(count)
            after(self, step, count, *rest)

        monkeypatch.setattr(loop, "most_steps", lambda seconds, most=most: most)
        monkeypatch.setattr(recorder.Recorder, "after", counted)
        train(tmp_path / f"{most}", dataset, config(13), schedule)
        monkeypatch.undo()
    assert advanced == {0: [2, 2, 2, 2, 2, 1, 1, 1], 1000: [6, 5, 1, 1]}

    def lines(most):
        time = {"seconds", "images_per_second"}
        found = read_metrics(tmp_path / f"{most}")
        return [{k: v for k, v in line.items() if k not in time} for line in found]

    assert lines(0) == lines(1000)
    assert len(lines(0)) == 8
    for step in (6, 12, 13):
        name = f"samples/step_{step:06d}.png"
        one, other = (tmp_path / f"{most}" / name for most in (0, 1000))
        assert one.read_bytes() == other.read_bytes()


def test_what_fails_while_it_is_compiled_is_raised(tmp_path, dataset, monkeypatch):
    def fail():
        raise RuntimeError("no such instruction")

    def compile_train_steps(*arguments, **sizes):
        return compilation.in_background(fail)

    monkeypatch.setattr(parallel, "compile_train_steps", compile_train_steps)
    with pytest.raises(RuntimeError, match="no such instruction"):
        train(tmp_path / "run", dataset, config(3))
    assert read_metrics(tmp_path / "run") == []


def test_a_finished_run_is_left_as_it_is(whole, dataset):
    workdir, expected, _ = whole
    before = (workdir / "metrics.jsonl").read_bytes()
    state, _ = train(workdir, dataset, config(13))
    chex.assert_trees_all_equal(state.generator, expected.generator)
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_numbers_that_go_wrong_stop_the_run_by_name_and_save_nothing(tmp_path, dataset):
    recipe = recipes.recipe("least_squares", discriminator_lr=1e30)
    with pytest.raises(
        UserError, match=r"(_loss|_norm|_logit) is (nan|inf|-inf) at st"
    ):
        train(tmp_path / "run", dataset, config(8, recipe=recipe))
    assert not [p for p in (tmp_path / "run" / "checkpoints").glob("*") if p.is_dir()]


def test_the_grid_of_real_images_has_a_class_a_column(dataset):
    few, columns = sample_grids.hundred_real(dataset)
    # Nine of each: as they come, in rows that nobody takes for classes.
    np.testing.assert_array_equal(few, dataset.images[:90])
    assert columns == 9
    images = np.repeat(dataset.images[:10], 10, axis=0)
    labels = np.repeat(np.arange(10, dtype=np.int32), 10)
    many = dataclasses.replace(dataset, images=images, labels=labels)
    grid, columns = sample_grids.hundred_real(many)
    assert columns == 10
    for label in range(10):
        assert (grid[label::10] == dataset.images[label]).all()
    three = dataclasses.replace(
        many, images=images[:30], labels=labels[:30], class_names=("a", "b", "c")
    )
    grid, columns = sample_grids.hundred_real(three)
    assert (len(grid), columns) == (30, 3)
    for label in range(3):
        assert (grid[label::3] == dataset.images[label]).all()


def test_a_run_measures_its_samples_as_often_as_it_is_told_and_at_its_end(
    whole, tmp_path, dataset
):
    """And nothing that is computed depends on it."""
    seen = []

    def evaluate(gan, state):
        seen.append(int(state.step))
        return {"fcd": 100.0 / seen[-1]}

    schedule = dataclasses.replace(SCHEDULE, evaluate_every=5)
    state, _ = train(tmp_path / "run", dataset, config(13), schedule, evaluate)
    assert seen == [5, 10, 13]
    lines = read_metrics(tmp_path / "run")
    logged = {line["step"]: line["fcd"] for line in lines if "fcd" in line}
    assert logged == {5: 20.0, 10: 10.0, 13: pytest.approx(100 / 13)}
    chex.assert_trees_all_equal(state.generator, whole[1].generator)


def test_the_clock_leaves_measuring_out_however_slowly_files_are_written(
    tmp_path, dataset, monkeypatch
):
    save = recorder.plots.save_grid
    start, write = recorder.Recorder.start, recorder.MetricsLog.write
    begun, written, paused = [], [], []

    def save_slowly(*arguments):
        time.sleep(0.02)
        save(*arguments)

    def evaluate(gan, state):
        before = time.perf_counter()
        time.sleep(0.1)
        paused.append(time.perf_counter() - before)
        return {"fcd": 1.0}

    def start_late(self):
        begun.append(time.perf_counter())
        start(self)

    def write_early(self, *lines):
        written.append(time.perf_counter())
        write(self, *lines)

    monkeypatch.setattr(recorder.plots, "save_grid", save_slowly)
    monkeypatch.setattr(recorder.Recorder, "start", start_late)
    monkeypatch.setattr(recorder.MetricsLog, "write", write_early)
    schedule = loop.Schedule(1, 1, 6, evaluate_every=2)
    train(tmp_path / "run", dataset, config(6), schedule, evaluate)
    lines = read_metrics(tmp_path / "run")
    seconds = [0.0, *(line["seconds"] for line in lines)]
    assert len(lines) == 6
    assert all(a < b for a, b in itertools.pairwise(seconds))
    assert len(paused) == 3
    elapsed = written[-1] - begun[-1]
    assert seconds[-1] <= elapsed - sum(paused) + 0.001  # rounded to milliseconds
    assert all(line["images_per_second"] > 0 for line in lines)


def test_the_grid_of_a_conditional_gan_has_a_latent_a_row_and_a_class_a_column():
    gan = recipes.make_gan(recipes.recipe("hinge", conditional=True))
    key = jax.random.key(0)
    state = training.init_state(gan, key, (28, 28, 1))
    grid = np.asarray(sample_grids.grid_sampler(gan, key)(state))
    z_key = jax.random.fold_in(key, 2**32 - 1)
    latents = jax.random.normal(z_key, (100, gan.latent_size))[:10]
    for label in (0, 7):
        labels = np.full(10, label)
        column = training.to_uint8(training.generate(gan, state, latents, labels))
        difference = grid[label::10].astype(int) - np.asarray(column, int)
        assert np.abs(difference).max() <= 1


def test_the_samples_of_a_grid_are_of_the_same_latents_every_time():
    gan = recipes.make_gan(recipes.recipe("hinge"))
    key = jax.random.key(0)
    state = training.init_state(gan, key, (28, 28, 1))
    first, second = (sample_grids.grid_sampler(gan, key)(state) for _ in range(2))
    assert first.shape == (100, 28, 28, 1)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    assert len({image.tobytes() for image in np.asarray(first)}) == 100
