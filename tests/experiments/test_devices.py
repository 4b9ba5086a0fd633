"""How many devices there are, and what follows: batch, learning rates, processes."""

import dataclasses
import json
import math
import socket

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments.common import cli, plan, train_flags
from gan_jax import recipes
from gan_jax.data import Dataset
from gan_jax.errors import UserError
from gan_jax.run import loop
from tests.experiments.test_processes import FLAGS, start_two, succeed
from tests.processes.running import digest, numbers, start


def planned(*arguments, **known):
    """The plan of `experiments.train` with these flags."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        cli.parse(["train", *arguments])
        return plan.plan(**known)


# Numbers of the recipe


def test_every_number_of_a_recipe_has_its_flag():
    fields = {field.name for field in dataclasses.fields(recipes.Recipe)}
    named = {flag.name for flag in train_flags.OF_RECIPE}
    assert named | {"loss", "batch_size"} == fields


def test_flags_reach_the_recipe_and_the_schedule():
    flags = ("--log_every=3", "--sample_every=4", "--checkpoint_every=5")
    more = ("--evaluate_every=7", "--keep_checkpoints=6", "--mirror", "--beta2=.5")
    made = planned(*flags, *more)
    assert made.schedule == loop.Schedule(
        log_every=3,
        sample_every=4,
        checkpoint_every=5,
        evaluate_every=7,
        keep_checkpoints=6,
    )
    changes = {"mirror": True, "beta2": 0.5}
    assert made.recipe == dataclasses.replace(planned().recipe, **changes)


# Batch and learning rates


def test_the_batch_is_the_same_on_any_number_of_devices():
    for devices in (None, 1, 8):
        assert planned("--batch_size=64", num_devices=devices).recipe.batch_size == 64
        assert planned(num_devices=devices).recipe == planned().recipe


def test_a_batch_per_device_grows_with_the_devices_and_shortens_the_epoch():
    made = [
        planned("--batch_size_per_device=16", "--epochs=2", num_devices=devices)
        for devices in (1, 4)
    ]
    assert [m.recipe.batch_size for m in made] == [16, 64]
    assert [m.steps for m in made] == [2 * (60_000 // 16), 2 * (60_000 // 64)]
    assert planned("--batch_size_per_device=16", "--num_devices=4") == made[1]._replace(
        steps=60_000 // 64, num_devices=4
    )


@pytest.mark.parametrize(("rule", "power"), [("none", 0), ("sqrt", 0.5), ("linear", 1)])
def test_learning_rates_are_scaled_by_a_power_of_the_batch(rule, power):
    flags = (f"--lr_scaling={rule}", "--loss=hinge", "--discriminator_lr=3e-4")
    base = recipes.recipe("hinge", "tuned", discriminator_lr=3e-4)
    assert (base.batch_size, base.generator_lr) == (8, 2.7e-3)
    for devices in (1, 2, 8):
        made = planned(*flags, "--batch_size_per_device=16", num_devices=devices).recipe
        factor = (16 * devices / 8) ** power
        assert math.isclose(made.generator_lr, 2.7e-3 * factor)
        assert math.isclose(made.discriminator_lr, 3e-4 * factor)
        kept = {"batch_size": 8, "generator_lr": 2.7e-3, "discriminator_lr": 3e-4}
        assert dataclasses.replace(made, **kept) == base
    whole = planned(*flags, "--batch_size=128").recipe
    assert math.isclose(whole.generator_lr, 2.7e-3 * 16**power)


def test_without_a_larger_batch_no_rule_changes_a_bit():
    # Of other networks the recipe has another batch.
    for network in ("reference", "dcgan"):
        own = planned(f"--network={network}").recipe
        for rule in ("none", "sqrt", "linear"):
            made = planned(f"--network={network}", f"--lr_scaling={rule}")
            assert made.recipe == own


def test_two_batch_sizes_are_a_contradiction():
    with pytest.raises(
        UserError,
        match=r"--batch_size=64, of all devices together, contradicts"
        r" --batch_size_per_device=8: leave one out",
    ):
        planned("--batch_size=64", "--batch_size_per_device=8")
    with pytest.raises(UserError, match="--batch_size_per_device=0 must be at least 1"):
        planned("--batch_size_per_device=0")


def test_a_batch_per_device_that_is_too_large_for_all_of_them_is_refused():
    few = ("--batch_size_per_device=30000", "--loss=hinge")
    assert planned(*few, num_devices=2).steps == 1
    with pytest.raises(
        UserError, match="1 x 90000 examples and the data set has 60000"
    ):
        planned(*few, num_devices=3)


# Processes


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A run of two processes that were told who they are, with images on devices."""
    folder = tmp_path_factory.mktemp("two") / "run"
    succeed(start_two(folder, "--steps=6"))
    assert numbers(folder).step == 6
    return folder


def free_port_of_a_job():
    """JAX takes port 61440 + job modulo 4096."""
    for port in range(61440, 65536):
        with socket.socket() as one:
            try:
                one.bind(("localhost", port))
            except OSError:
                continue
            return port
    raise AssertionError("all ports are taken")


@pytest.mark.slow
def test_under_slurm_distributed_needs_no_argument_and_hosts_may_keep_the_images(
    two, tmp_path, monkeypatch
):
    """Two tasks of a job, by nothing but the variables that srun sets.

    With images on their hosts they end in the bytes of two that have them on devices.
    """
    folder = tmp_path / "run"
    job = {
        "SLURM_JOB_ID": str(free_port_of_a_job() - 61440),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
    }
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    tasks, flags = [], (*FLAGS, "--steps=6", "--distributed", "--images_on=host")
    for number, place in enumerate((folder, tmp_path / "not_here")):
        monkeypatch.setenv("SLURM_PROCID", str(number))
        monkeypatch.setenv("SLURM_LOCALID", str(number))
        tasks.append(start(place, *flags, devices=2))
    succeed(tasks)
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_devices"], config["images_on"]) == (4, "host")
    assert not (tmp_path / "not_here").exists()
    assert digest(folder) == digest(two)


# Images of the user's own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder of seventy images without labels; seven of them are held out."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (70, 28, 28, 1), np.uint8))
    return folder


@pytest.mark.slow
def test_ones_own_images_train_on_either_side_and_are_known_again(own, tmp_path):
    flags = ("--dataset=npy", f"--data_dir={own}", "--epochs=2", *FLAGS)
    results = [
        start(tmp_path / place, *flags, f"--images_on={place}").end()
        for place in ("device", "host")
    ]
    assert [result[0] for result in results] == [0, 0], results
    assert numbers(tmp_path / "host").step == 2 * (63 // 8)
    assert digest(tmp_path / "host") == digest(tmp_path / "device")
    with open(own / "images.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    status, _, stderr = start(tmp_path / "host", *flags, "--epochs=3").end()
    assert status == 2
    assert "holds another run (--dataset=npy-" in stderr
    assert len(stderr.splitlines()) == 1


def images_of(size):
    """So many that take no memory."""
    images = np.broadcast_to(np.zeros((28, 28, 1), np.uint8), (size, 28, 28, 1))
    return Dataset("npy-0", images, None, (), "made up")


def test_what_ones_own_images_lack_is_asked_for():
    with pytest.raises(UserError, match="--dataset=npy needs --data_dir"):
        planned("--dataset=npy")
    some = ("--dataset=npy", "--data_dir=somewhere")
    # Against what is held out of them.
    assert planned(*some, "--evaluate_every=10").schedule.evaluate_every == 10
    large = (*some, "--batch_size=90000", "--recipe=published")
    own = images_of(200_000)
    assert planned(*large, "--epochs=3", own=own).steps == 6
    with pytest.raises(UserError, match="--conditional needs labels of two classes"):
        planned(*some, "--conditional", own=own)
    with pytest.raises(
        UserError, match="1 x 90000 examples and the data set has 80000"
    ):
        planned(*large, own=images_of(80_000))
