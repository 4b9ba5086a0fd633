"""Dying and going on changes no bit, whatever is trained, and on any devices."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from gan_jax import recipes
from gan_jax.losses import LOSSES
from gan_jax.run import checkpoints, configuration, loop
from gan_jax.run.metrics_log import read_metrics
from tests.run import making

STEPS = 9
SCHEDULE = loop.Schedule(log_every=2, sample_every=3, checkpoint_every=4)


@pytest.fixture
def small_networks(small_networks, monkeypatch):
    # One program for the sittings of a test. (Processes that are really killed compile
    # or load it anew: tests/experiments/measure/test_torture.py.)
    making.compile_once(monkeypatch.setattr)


@pytest.fixture(scope="module")
def dataset():
    return making.noise(50)


class Death(BaseException):
    """Whatever ends a process."""


def train(workdir, dataset, recipe, devices, dies_at=None):
    config = configuration.Config(recipe, "garments", 3, STEPS)

    def die(gan, state):
        if state.step == dies_at:
            raise Death
        return {}

    schedule = dataclasses.replace(SCHEDULE, evaluate_every=dies_at)
    evaluate = die if dies_at else None
    return making.train(
        config,
        dataset,
        workdir,
        schedule=schedule if dies_at else SCHEDULE,
        evaluate=evaluate,
        devices=devices,
    )


def everything(workdir, state):
    """What is left of a run, by name; all but what the clock says."""
    state = state.replace(key=jax.random.key_data(state.key))
    found = {
        jax.tree_util.keystr(path): np.asarray(leaf).tobytes()
        for path, leaf in jax.tree.leaves_with_path(state)
    }
    clock = ("seconds", "images_per_second")
    for line in read_metrics(workdir):
        untimed = {k: v for k, v in line.items() if k not in clock}
        found[f"metrics of step {line['step']}"] = repr(untimed)
    for path in (workdir / "samples").iterdir():
        found[path.name] = path.read_bytes()
    return found


WAYS = list(itertools.product(LOSSES, (False, True), (1, 4)))
# One of each kind of step, and each way; the others are slow.
QUICK = {
    ("wasserstein", True, 4),
    ("wasserstein_gp", False, 4),
    ("relativistic", False, 1),
}


@pytest.mark.parametrize(
    ("loss", "conditional", "num_devices"),
    [pytest.param(*w, marks=[pytest.mark.slow] * (w not in QUICK)) for w in WAYS],
)
def test_a_run_that_died_and_went_on_is_the_run_that_did_not(
    small_networks, tmp_path, dataset, loss, conditional, num_devices
):
    devices = jax.devices()[:num_devices]
    recipe = recipes.recipe(
        loss, table="tuned", conditional=conditional, batch_size=8, critic_steps=1
    )
    if loss == "wasserstein":  # several critic steps, and clipping
        recipe = dataclasses.replace(recipe, critic_steps=2)
    whole = train(tmp_path / "whole", dataset, recipe, devices)
    with pytest.raises(Death):  # past a checkpoint, and past lines that none has
        train(tmp_path / "run", dataset, recipe, devices, dies_at=7)
    assert checkpoints.newest(tmp_path / "run") == 4
    resumed = train(tmp_path / "run", dataset, recipe, devices)
    expected = everything(tmp_path / "whole", whole)
    assert sum("metrics" in name for name in expected) >= 6
    assert "step_000009.png" in expected
    assert any("mean" in name for name in expected)  # batch statistics
    assert any("ema" in name for name in expected)
    assert any("key" in name for name in expected)
    found = everything(tmp_path / "run", resumed)
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_run_that_skips_updates_goes_on_as_well(small_networks, tmp_path, dataset):
    recipe = recipes.recipe("hinge", batch_size=8, on_nan="skip")
    devices = jax.devices()[:1]
    whole = train(tmp_path / "whole", dataset, recipe, devices)
    with pytest.raises(Death):
        train(tmp_path / "run", dataset, recipe, devices, dies_at=7)
    resumed = train(tmp_path / "run", dataset, recipe, devices)
    assert everything(tmp_path / "run", resumed) == everything(
        tmp_path / "whole", whole
    )
