"""Numbers that go wrong stop a run by name, or are left out; none is ever saved."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses, penalties, recipes, training
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, finite
from gan_jax.run.metrics_log import read_metrics
from tests.run import making
from tests.run.test_resume import dataset, small_networks, train

__all__ = ["dataset", "small_networks"]  # fixtures

MARKED = 13  # of the fifty images; a batch that holds it has a NaN penalty


@pytest.fixture
def marked(monkeypatch, dataset):
    """A data set with one image that no penalty can take."""
    images = dataset.images.copy()
    images[MARKED] = 255

    def penalty(critic, real, fake, keys, labels=None):
        del fake, keys, labels
        white = jnp.any(jnp.mean(real, axis=(1, 2, 3)) > 0.999)
        return jnp.where(white, jnp.nan, 0.0) * jnp.mean(jax.vmap(critic)(real) ** 2)

    monkeypatch.setitem(penalties.PENALTIES, "r1", penalty)
    return dataclasses.replace(dataset, images=images)


def recipe(on_nan):
    return recipes.recipe("hinge", penalty="r1", batch_size=10, on_nan=on_nan)


def step_of_the_marked_image(state):
    """Five steps of ten in an epoch."""
    order = np.asarray(training.epoch_permutation(state.key, 0, 50))
    return int(np.flatnonzero(order == MARKED)[0]) // 10 + 1


def first_state():
    gan = recipes.make_gan(recipe("stop"))
    return training.init_state(gan, jax.random.key(3), (28, 28, 1))  # seed of `train`


def test_a_run_stops_with_the_step_the_name_and_the_last_good_checkpoint(
    small_networks, marked, tmp_path
):
    bad = step_of_the_marked_image(first_state())
    with pytest.raises(UserError) as caught:
        train(tmp_path / "run", marked, recipe("stop"), jax.devices()[:1])
    text = str(caught.value)
    assert text.startswith(f"d_gradient_norm is nan at step {bad}: stopped")
    assert "--on_nan=skip" in text
    last = checkpoints.newest(tmp_path / "run")
    assert last == (4 if bad > 4 else None)
    ending = "is of step 4" if last else "was not reached"
    assert text.endswith(f"the last good checkpoint {ending}")
    assert all(line["step"] < bad for line in read_metrics(tmp_path / "run"))


@pytest.mark.parametrize("num_devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_skipping_leaves_out_that_update_of_that_network_and_trains_on(
    small_networks, marked, tmp_path, num_devices
):
    devices = jax.devices()[:num_devices]
    state = train(tmp_path / "run", marked, recipe("skip"), devices)
    state = jax.device_get(state.replace(key=jax.random.key_data(state.key)))
    assert finite.first_non_finite(state) is None
    # Nine steps: the image comes once in the first epoch, perhaps in the second.
    skipped = int(state.discriminator.optimiser.total_notfinite)
    assert skipped in (1, 2)
    assert state.generator.optimiser.total_notfinite == 0
    adam = state.discriminator.optimiser.inner_state[0]
    assert adam.count == 9 - skipped
    assert state.generator.optimiser.inner_state[0].count == 9
    lines = read_metrics(tmp_path / "run")
    assert lines[-1]["skipped_updates"] == skipped
    assert all(line["g_loss"] is not None for line in lines)
    bad = step_of_the_marked_image(first_state())
    line = next(line for line in lines if line["step"] >= bad)
    alone = line["step"] - bad == 0 and line["step"] in (3, 9)  # a chunk of one step
    assert (line["d_loss"] is None) == alone


def test_an_update_that_is_skipped_changes_nothing_of_that_network(
    small_networks, marked
):
    gan = recipes.make_gan(recipe("skip"))
    state = training.init_state(gan, jax.random.key(3), (28, 28, 1))
    real = training.scale_images(jnp.asarray(marked.images[10:20]))[None]
    after, metrics = jax.jit(lambda s: training.train_step(gan, s, real))(state)
    assert np.isnan(metrics["d_gradient_norm"])
    chex.assert_trees_all_equal(after.discriminator.params, state.discriminator.params)
    assert np.isfinite(metrics["g_gradient_norm"])
    before = jax.tree.leaves(state.generator.params)
    moved = zip(before, jax.tree.leaves(after.generator.params), strict=True)
    assert any((a != b).any() for a, b in moved)


def test_what_cannot_be_skipped_for_ever_stops_by_the_name_of_a_parameter(
    small_networks, dataset, tmp_path, monkeypatch
):
    """After ten in a row optax lets the update through."""
    always = losses.GANLoss(
        lambda real, fake: jnp.mean(real) * jnp.nan, losses.LOSSES["hinge"].generator
    )
    monkeypatch.setitem(losses.LOSSES, "hinge", always)
    monkeypatch.setattr("tests.run.test_resume.STEPS", 20)
    with pytest.raises(
        UserError, match=r"^discriminator\.params\.\S+ is NaN or infinite by step 12"
    ):
        train(tmp_path / "run", dataset, recipe_without_penalty(), jax.devices()[:1])
    assert checkpoints.newest(tmp_path / "run") == 8


def recipe_without_penalty():
    return recipes.recipe("hinge", batch_size=10, on_nan="skip")


def test_stopping_and_skipping_train_the_same_where_nothing_goes_wrong(
    small_networks, dataset, tmp_path
):
    lines = {}
    for on_nan in ("stop", "skip"):
        hinge = recipes.recipe("hinge", batch_size=10, on_nan=on_nan)
        train(tmp_path / on_nan, dataset, hinge, jax.devices()[:1])
        lines[on_nan] = read_metrics(tmp_path / on_nan)
    for name in ("d_loss", "g_loss", "d_gradient_norm", "g_gradient_norm"):
        stop, skip = ([line[name] for line in lines[which]] for which in lines)
        assert stop == pytest.approx(skip, rel=1e-4)
    assert all(line["skipped_updates"] == 0 for line in lines["skip"])
    assert "skipped_updates" not in lines["stop"][0]


def test_updates_that_are_skipped_in_any_critic_step_are_counted(
    small_networks, marked, tmp_path
):
    """The metrics are those of the last critic step, and may all be finite."""
    two = dataclasses.replace(recipe("skip"), critic_steps=2, batch_size=5)
    state = train(tmp_path / "run", marked, two, jax.devices()[:1])
    skipped = int(state.discriminator.optimiser.total_notfinite)
    assert skipped in (1, 2)
    assert read_metrics(tmp_path / "run")[-1]["skipped_updates"] == skipped


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_measurement_that_is_not_finite_is_logged_as_none(
    small_networks, dataset, tmp_path, value
):
    config = configuration.Config(
        recipes.recipe("hinge", batch_size=10), "garments", 0, 4
    )
    for _ in range(2):  # and the log can be read when the run is started again
        making.train(
            config,
            dataset,
            tmp_path / "run",
            evaluate=lambda gan, state: {"fcd": value},
            devices=jax.devices()[:1],
        )
    assert read_metrics(tmp_path / "run")[-1]["fcd"] is None


def test_a_mean_is_taken_in_float64_and_of_finite_numbers():
    assert finite.mean(np.array([3e38, 3e38, np.nan], np.float32)) == pytest.approx(
        3e38
    )
    assert finite.mean(np.array([np.inf])) is None


def test_a_bfloat16_that_is_not_finite_is_found():
    tree = {"a": {"b": np.asarray(jnp.array([1, jnp.nan], jnp.bfloat16))}}
    assert finite.first_non_finite(tree) == "a.b"
