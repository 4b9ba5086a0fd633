"""The main job from the command line, and samples from what it leaves."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax.run import sampling
from gan_jax.run.metrics_log import read_metrics
from tests.processes.running import FAST, Process, call, data_flags

REAL_DATA = os.environ.get("GAN_JAX_DATA_DIR")


def python(*arguments):
    """A process that imports everything itself, as a user's does."""
    cache = jax.config.jax_compilation_cache_dir
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def run(program, *flags, **how):
    """The same, forked: what it prints, where it succeeds."""
    status, stdout, stderr = Process(
        [f"experiments.{program}", *flags], **{"small": False, **how}
    ).end()
    assert status == 0, stderr
    return stdout


def run_all(program, asked, **how):
    """The same, called in one process with several flags."""
    program = f"experiments.{program}"
    answers = call({program: asked}, **how)[program]
    assert [answer["status"] for answer in answers] == [0] * len(asked), answers
    return [answer["stdout"] for answer in answers]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The main job, with the reference networks."""
    workdir = tmp_path_factory.mktemp("trained") / "run"
    flags = [
        *(*data_flags(), "--batch_size=8", "--loss=wasserstein_gp", "--ema_decay=0.9"),
        *("--steps=6", "--sample_every=4", "--log_every=2", f"--workdir={workdir}"),
    ]
    status, stdout, stderr = python("-m", "experiments.train", *flags)
    assert status == 0, stderr
    return workdir, stdout, stderr


def test_one_command_leaves_a_run_folder_and_says_where(trained):
    workdir, stdout, _ = trained
    contents = json.loads((workdir / "config.json").read_text())
    assert contents["flags"]["dataset"].startswith("npy-")
    assert contents["flags"]["ema_decay"] == 0.9
    assert contents["flags"]["steps"] == 6
    assert [line["step"] for line in read_metrics(workdir)] == [2, 4, 6]
    names = [p.name for p in sorted((workdir / "samples").iterdir())]
    assert names == ["step_000004.png", "step_000006.png"]
    for name in ("real.png", "curves.png", "metrics.jsonl", "checkpoints"):
        assert (workdir / name).exists()
        assert str(workdir / name) in stdout
    assert "wasserstein_gp on npy-" in stdout


def test_without_a_terminal_there_is_no_progress_bar(trained):
    assert trained[2] == ""


def test_samples_come_from_the_moving_average_as_the_grid_does(trained, tmp_path):
    outputs = [tmp_path / "samples.npz", tmp_path / "samples.png"]
    flags = (f"--workdir={trained[0]}", "--num_samples=7")
    said = run_all("sample", [(*flags, f"--output={output}") for output in outputs])
    for output, text in zip(outputs, said, strict=True):
        assert str(output) in text
    assert sorted(tmp_path.iterdir()) == outputs
    assert Image.open(outputs[1]).size == ((7 * 30 + 3 * 30 - 2) * 2, 28 * 2)
    images = np.load(outputs[0])["images"]
    assert len({image.tobytes() for image in images}) == 7
    gan, state = sampling.restore(trained[0])
    drawn = sampling.draw(gan, state, 7).images
    np.testing.assert_array_equal(images, drawn)
    newest = sampling.draw(gan, state.replace(ema=None), 7).images
    assert not np.array_equal(images, newest)


def test_more_samples_begin_with_the_fewer(trained):
    def draw(num_samples, seed):
        samples = sampling.draw(*sampling.restore(trained[0]), num_samples, seed=seed)
        assert samples.labels is None
        return samples.images

    few = draw(3, seed=5)
    np.testing.assert_array_equal(draw(501, seed=5)[:3], few)
    assert not np.array_equal(draw(3, seed=6), few)


@pytest.mark.skipif(not REAL_DATA, reason="$GAN_JAX_DATA_DIR names no data set")
def test_auto_is_fashion_mnist_where_it_is(tmp_path):
    flags = (f"--workdir={tmp_path / 'run'}", "--steps=2", "--batch_size=8")
    said = run("train", *flags, small=True)
    assert "wasserstein_gp on fashion_mnist, 28 x 28 x 1 (read from" in said
    contents = json.loads((tmp_path / "run" / "config.json").read_text())
    assert contents["flags"]["dataset"] == "fashion_mnist"


@pytest.fixture(scope="module")
def conditional(evaluation_cache, tmp_path_factory):
    """A conditional run and another, of small networks and garments drawn already."""
    workdir = tmp_path_factory.mktemp("conditional") / "run"
    flags = ("--dataset=garments", "--num_examples=100", "--batch_size=8")
    flags += ("--loss=hinge", "--steps=4", "--sample_every=2")
    runs = [
        (*flags, "--conditional", f"--workdir={workdir}"),
        (*flags, f"--workdir={workdir.parent / 'other'}"),
    ]
    cache = str(evaluation_cache)
    said, _ = run_all("train", runs, small=True, GAN_JAX_CACHE_DIR=cache)
    return workdir, said


@pytest.fixture(scope="module")
def drawn(conditional):
    """The folder of samples of the conditional run: of all classes, one, and more."""
    workdir = conditional[0]
    (workdir.parent / "all.npz").symlink_to(workdir.parent / "target.npz")
    asked = {"all": ("12",), "seven": ("12", "--label=7"), "more": ("60",)}
    flags = [
        (f"--output={workdir.parent / name}.npz", f"--num_samples={number}", *label)
        for name, (number, *label) in asked.items()
    ]
    asked = [(f"--workdir={workdir}", *more) for more in flags]
    run_all("sample", asked, small=True)
    return workdir.parent


def test_a_conditional_run_draws_the_class_that_is_asked_for(conditional, drawn):
    assert "conditional hinge on garments" in conditional[1]
    for name, labels in {"all": [*range(10), 0, 1], "seven": [7] * 12}.items():
        with np.load(drawn / f"{name}.npz") as arrays:
            assert arrays["labels"].dtype == np.int32
            assert arrays["labels"].tolist() == labels
            assert arrays["images"].shape == (12, 28, 28, 1)
    assert (drawn / "all.npz").is_symlink()  # what it leads to was written


def test_evaluate_measures_runs_and_files_side_by_side(
    conditional, drawn, tmp_path, evaluation_cache
):
    output, table = drawn / "more.npz", tmp_path / "table.md"
    mine, other = conditional[0], conditional[0].parent / "other"
    said = run(
        "evaluate",
        f"--workdir={mine},{other}",
        f"--samples={output}",
        "--num_samples=50",
        f"--markdown={table}",
        "--quick",
        small=True,
        XLA_FLAGS=FAST,
        GAN_JAX_CACHE_DIR=str(evaluation_cache),
    )
    rows = {line.split("  ")[0]: line for line in said.splitlines()}
    assert {"training images", "noise", str(output), str(other)} <= set(rows)
    # The file holds what the run draws: the same numbers, but for the discriminator's.
    one, file = (rows[str(name)].split() for name in (mine, output))
    *same, overfitting = one[1:]
    assert same == file[1:]
    document = json.loads((mine / "evaluation.json").read_text())
    assert 0 <= document["values"]["class_accuracy"] <= 1
    assert document["values"]["overfitting"] == pytest.approx(
        float(overfitting), abs=1e-3
    )
    assert 0 <= document["values"]["told_apart"] <= 1
    assert (other / "neighbours.png").exists()
    assert table.read_text().count("\n| ") == 6
    # The one that the cache held: it was not trained again.
    assert len(list((evaluation_cache / "classifiers").iterdir())) == 1


def test_interpolate_leaves_a_picture_and_a_film(conditional):
    workdir, _ = conditional
    said = run("interpolate", f"--workdir={workdir}", "--rows=3", small=True)
    picture = Image.open(workdir / "interpolation.png")
    assert picture.size == (2 * (10 * 30 - 2), 2 * (3 * 30 - 2))
    assert Image.open(workdir / "training.gif").n_frames == 2
    assert said.split() == [
        str(workdir / "interpolation.png"),
        str(workdir / "training.gif"),
    ]


IMPORT = """
import importlib
import sys
import gan_jax
print("jax" in sys.modules)
sys.modules["gradio"] = None  # whether it is installed or not
from absl import flags
from gan_jax import data, evaluation, losses, penalties, recipes, training
from gan_jax.devices import parallel
from gan_jax.explore import critic, plane_picture, restored, runs
from gan_jax.run import loop, run_folder, sampling
for name in ("train", "sample", "evaluate", "export", "interpolate", "study"):
    importlib.import_module(f"experiments.{name}")
    flags.FLAGS.remove_flag_values([*flags.FLAGS])  # others have some of the same name
data.load("garments", garments_size=10)
print("tensorflow" in sys.modules)
"""


def test_the_package_imports_nothing_that_is_slow_and_no_tensorflow_and_no_gradio():
    status, stdout, stderr = python("-c", IMPORT)
    assert status == 0, stderr
    assert stdout.splitlines() == ["False", "False"]
