"""Whatever a file or a flag holds, it is used as it was meant or refused in a line."""

import dataclasses
import json
import pathlib
import shutil
import sys

import jax
import numpy as np
import pytest
from absl import app, flags
from absl.testing import flagsaver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.common import cli, plan
from gan_jax import recipes, training
from gan_jax.data import idx
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES
from gan_jax.networks import NETWORKS
from gan_jax.optimisers import SCHEDULES
from gan_jax.penalties import PENALTIES
from gan_jax.recipes.recipe import PRECISIONS
from gan_jax.run import configuration, restoring, sample_files, sampling
from gan_jax.run.metrics_log import read_metrics
from tests.data.test_idx import pack
from tests.run.test_checkpoints import ABOUT, assert_same, save, state_at

# The same cases every time, and no limit but that of the suite: see pyproject.toml.
many = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(many, max_examples=60)


def one_line(error):
    assert isinstance(error, UserError)
    assert "\n" not in str(error)
    assert len(str(error)) < 1500


def attempt(function, *arguments):
    """What a function returns, or None where it refuses; any other error fails."""
    try:
        return function(*arguments)
    except UserError as error:
        one_line(error)
        return None


# Settings

above_0 = st.floats(1e-30, 1e30)
unit = st.floats(0, 1, exclude_max=True)
sides = st.integers(1, 2**16)
of_recipe = {
    "loss": st.sampled_from(sorted(LOSSES)),
    "conditional": st.booleans(),
    "batch_size": st.integers(1, 2**20),
    "penalty": st.sampled_from(["none", *PENALTIES]),
    "penalty_weight": st.floats(0, 1e30),
    "clip": st.none() | above_0,
    "critic_steps": st.integers(1, 10_000),
    "optimiser": st.sampled_from(["adam", "rmsprop"]),
    "generator_lr": above_0,
    "discriminator_lr": above_0,
    "beta1": unit,
    "beta2": unit,
    "latent_size": st.integers(1, 2**16),
    "ema_decay": st.none() | unit,
    "ema_grows_from": st.integers(0, 2**31 - 1),
    "precision": st.sampled_from(sorted(PRECISIONS)),
    "on_nan": st.sampled_from(["stop", "skip"]),
    "network": st.sampled_from(sorted(NETWORKS)),
    "width": st.none() | st.integers(1, 2**5),  # in steps of the network's
    "spectral_norm": st.booleans(),
    "schedule": st.sampled_from(SCHEDULES),
    "mirror": st.booleans(),
    "augment": st.sampled_from(["none", *training.AUGMENTS]),
}
of_config = {
    "dataset": st.text(),
    "seed": st.integers(0, 2**32 - 1),
    "steps": st.integers(1, 2**31 - 1),
    "num_examples": st.none() | st.integers(1, 60_000),
    "shape": st.just((28, 28, 1)) | st.tuples(sides, sides, sides),
    "num_classes": st.integers(0, 2**16),
    "sources": st.dictionaries(st.text(), st.text()).map(lambda d: (*d.items(),)),
    "init_from": st.none() | st.text(),
}


def made(values):
    """A recipe whose network has the width and the spectral norm that it is given."""
    network = NETWORKS[values["network"]]
    if values["width"]:
        values["width"] *= network.step
    values["spectral_norm"] &= network.spectral_norm
    if values["ema_decay"] is None:
        values["ema_grows_from"] = 0
    return recipes.Recipe(**values)


configs = st.builds(
    configuration.Config,
    recipe=st.fixed_dictionaries(of_recipe).map(made),
    **of_config,
)


def test_every_setting_is_drawn():
    for kind, drawn in (
        (recipes.Recipe, of_recipe),
        (configuration.Config, {"recipe", *of_config}),
    ):
        assert {field.name for field in dataclasses.fields(kind)} == {*drawn}


@many
@given(config=configs)
def test_every_config_is_read_back_as_it_was_written(tmp_path, config):
    configuration.write_config(tmp_path, config)
    assert configuration.read_config(tmp_path) == config


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@many
@given(name=st.sampled_from(sorted({*of_recipe, *of_config})), value=json_values)
def test_a_setting_of_any_kind_is_checked(tmp_path, name, value):
    """And what passes makes a GAN, whose shapes can be computed."""
    settings = {**ABOUT["flags"], name: value}
    (tmp_path / "config.json").write_text(json.dumps({"flags": settings}))
    config = attempt(configuration.read_config, tmp_path)
    if config is None:
        return
    # A whole number is a fine learning rate, and true is 1; pairs are sources as well.
    value = dict(value) if name == "sources" else value
    assert (configuration.USUAL | config.flags())[name] == value
    gan = attempt(config.make_gan)
    if gan is None:
        assert name == "shape"  # images that no pair of networks makes
        return
    jax.eval_shape(gan.generator_optimiser.init, {"w": np.zeros(2, np.float32)})


@many
@given(contents=st.binary(max_size=40) | json_values.map(lambda v: json.dumps(v)))
def test_any_file_may_stand_in_place_of_config_and_metrics(tmp_path, contents):
    if isinstance(contents, str):
        contents = contents.encode() + b"\n"
    for name, read in (
        ("config.json", configuration.read_config),
        ("metrics.jsonl", read_metrics),
    ):
        (tmp_path / name).write_bytes(contents)
        attempt(read, tmp_path)


@pytest.mark.parametrize("depth", [100_000])
def test_json_that_is_too_deep_is_refused(tmp_path, depth):
    for name, read in (
        ("config.json", configuration.read_config),
        ("metrics.jsonl", read_metrics),
    ):
        (tmp_path / name).write_text("[" * depth + "\n")
        assert attempt(read, tmp_path) is None


# Flags

flag_names = (
    *("loss", "recipe", "conditional", "dataset", "epochs", "steps", "batch_size"),
    *("seed", "penalty", "penalty_weight", "critic_steps", "clip", "generator_lr"),
    *("discriminator_lr", "optimiser", "beta1", "beta2", "latent_size", "ema_decay"),
    *("precision", "on_nan", "sample_every", "checkpoint_every", "log_every"),
    *("keep_checkpoints", "evaluate_every", "workdir", "num_processes", "coordinator"),
    *("num_examples", "network", "width", "spectral_norm", "schedule", "mirror"),
    *("augment", "ema_grows_from"),
)
flag_values = (
    st.text(max_size=12)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.sampled_from(["true", "0x10", "1e3", "-0", "none", "wasserstein", *LOSSES])
)


@pytest.fixture(scope="module", autouse=True)
def flags_are_parsed():
    app.define_help_flags()
    flags.FLAGS(["train"])


@settings(many, max_examples=300)
@given(given_flags=st.dictionaries(st.sampled_from(flag_names), flag_values))
def test_any_flags_make_a_plan_or_one_line_with_status_2(capsys, given_flags):
    arguments = [f"--{name}={value}" for name, value in given_flags.items()]
    plans, status = [], 0
    with flagsaver.flagsaver():
        try:
            argv = cli.parse(["train", *arguments])
            cli.guarded(lambda: plans.append(plan.plan()), argv)
        except SystemExit as end:
            status = end.code
    stderr = capsys.readouterr().err
    if status:
        assert status == 2
        assert len(stderr.splitlines()) == 1
        return
    (made,) = plans
    recipes.check(made.recipe)
    assert 1 <= made.schedule.next_stop(0, made.steps, 0) <= made.steps


# Checkpoints and other files, truncated or with a flipped bit


@st.composite
def damages(draw):
    """How to damage a file of any size; a place is a share of its length."""
    place = draw(st.floats(0, 1, exclude_max=True))
    return place, draw(st.sampled_from(["cut", *range(8)]))


def damage(path, place, how):
    data = bytearray(path.read_bytes())
    position = int(place * len(data))
    if how == "cut":
        del data[position:]
    elif data:
        data[position] ^= 1 << how
    path.write_bytes(data)


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact")
    save(folder, 10)
    return folder


@few
@given(which=st.floats(0, 1, exclude_max=True), how=damages())
def test_a_damaged_checkpoint_gives_the_same_state_or_is_refused(
    intact, tmp_path, which, how
):
    """Never another state; of the two, refused far more often."""
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(intact, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    damage(files[int(which * len(files))], *how)
    like, said = state_at(0), []
    state = attempt(lambda: restoring.restore(folder, like, ABOUT, say=said.append))
    if state is not None:
        assert_same(state, state_at(10))


@few
@given(how=damages())
def test_damaged_metrics_are_refused_or_other_numbers(tmp_path, how):
    lines = [{"step": 10 * i, "seconds": i / 3, "d_loss": -1.5e-3} for i in range(9)]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    damage(path, *how)
    for line in attempt(read_metrics, tmp_path) or []:
        assert isinstance(line["step"], int)


@few
@given(how=damages())
def test_damaged_samples_are_refused_or_images(tmp_path, how):
    path = tmp_path / "samples.npz"
    images = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28, 1)
    sample_files.write_npz(path, sampling.Samples(images, np.arange(2, dtype=np.int32)))
    damage(path, *how)
    samples = attempt(sample_files.read_npz, path)
    if samples is not None:
        assert samples.images.shape[1:] == (28, 28, 1)


@few
@given(how=damages(), compressed=st.booleans())
def test_a_damaged_data_file_is_refused_or_an_array(tmp_path, how, compressed):
    import gzip

    path = tmp_path / "images.gz"
    data = pack(np.arange(98, dtype=np.uint8).reshape(2, 7, 7))
    path.write_bytes(gzip.compress(data) if compressed else data)
    damage(path, *how)
    found = attempt(idx.read, path, (2, 7, 7))
    if found is not None:
        assert found[0].shape == (2, 7, 7)


# Pickles


def test_nothing_that_is_loaded_is_unpickled(intact, tmp_path):
    """Python's own audit of pickles stays silent while a run's files are read."""
    found = []
    watching = True
    sys.addaudithook(
        lambda event, arguments: (
            found.append(arguments)
            if watching and event == "pickle.find_class"
            else None
        )
    )
    path = tmp_path / "samples.npz"
    sample_files.write_npz(path, sampling.Samples(np.zeros((2, 28, 28, 1), np.uint8)))
    configuration.write_config(
        tmp_path, configuration.Config(recipes.recipe("hinge"), "mnist", 0, 9)
    )
    state = restoring.restore(intact, state_at(0), ABOUT, say=print)
    assert_same(state, state_at(10))
    sample_files.read_npz(path)
    configuration.read_config(tmp_path)
    read_metrics(tmp_path)
    assert found == []
    np.savez(path, images=np.array([{}]))  # objects are pickled
    with pytest.raises(UserError, match="cannot be read"):
        sample_files.read_npz(path)
    assert found == []
    import pickle

    pickle.loads(pickle.dumps(pathlib.Path()))  # and the audit would have shown one
    watching = False
    assert found
