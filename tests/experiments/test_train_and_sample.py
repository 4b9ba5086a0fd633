"""The main job from the command line, and samples from what it leaves."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import sampling
from gan_jax.metrics_log import read_metrics

REAL_DATA = os.environ.get("GAN_JAX_DATA_DIR")


def python(*arguments, **environment):
    # One device, as on most machines; and no network is asked.
    cache = jax.config.jax_compilation_cache_dir
    settings = {"JAX_COMPILATION_CACHE_DIR": cache, **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )


def train(workdir, *flags):
    return python("-m", "experiments.train", f"--workdir={workdir}", *flags)


SMALL = ("--dataset=garments", "--batch_size=8", "--loss=wasserstein_gp")
KEPT = ("--sample_every=4", "--log_every=2", "--ema_decay=0.9")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    done = train(workdir, *SMALL, "--steps=6", *KEPT)
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_one_command_leaves_a_run_folder_and_says_where(trained):
    workdir, done = trained
    contents = json.loads((workdir / "config.json").read_text())
    assert contents["flags"]["dataset"] == "garments"
    assert contents["flags"]["ema_decay"] == 0.9
    assert contents["flags"]["steps"] == 6
    assert [line["step"] for line in read_metrics(workdir)] == [2, 4, 6]
    names = [p.name for p in sorted((workdir / "samples").iterdir())]
    assert names == ["step_000004.png", "step_000006.png"]
    for name in ("real.png", "curves.png", "metrics.jsonl", "checkpoints"):
        assert (workdir / name).exists()
        assert str(workdir / name) in done.stdout
    assert "wasserstein_gp on garments" in done.stdout


def test_without_a_terminal_there_is_no_progress_bar(trained):
    assert trained[1].stderr == ""


@pytest.mark.parametrize("suffix", ["npz", "png"])
def test_samples_come_from_the_moving_average_as_the_grid_does(
    trained, tmp_path, suffix
):
    output = tmp_path / f"samples.{suffix}"
    flags = (f"--workdir={trained[0]}", "--num_samples=7", f"--output={output}")
    done = python("-m", "experiments.sample", *flags)
    assert done.returncode == 0, done.stderr
    assert str(output) in done.stdout
    assert os.listdir(tmp_path) == [output.name]
    if suffix == "png":
        assert Image.open(output).size == ((7 * 30 + 3 * 30 - 2) * 2, 28 * 2)
        return
    images = np.load(output)["images"]
    assert images.shape == (7, 28, 28, 1)
    assert images.dtype == np.uint8
    assert len({image.tobytes() for image in images}) == 7


def test_more_samples_begin_with_the_fewer(trained):
    def draw(num_samples, seed):
        samples = sampling.draw(*sampling.restore(trained[0]), num_samples, seed=seed)
        assert samples.labels is None
        return samples.images

    few = draw(3, seed=5)
    np.testing.assert_array_equal(draw(501, seed=5)[:3], few)
    assert not np.array_equal(draw(3, seed=6), few)


def test_the_run_goes_on_from_where_it_was_and_refuses_less(trained):
    workdir, _ = trained
    done = train(workdir, *SMALL, "--steps=8", *KEPT)
    assert done.returncode == 0, done.stderr
    assert "up to step 6: going on" in done.stdout
    assert read_metrics(workdir)[-1]["step"] == 8
    done = train(workdir, *SMALL, "--steps=2", *KEPT)
    assert done.returncode == 2
    assert "trained up to step 8" in done.stderr


@pytest.mark.skipif(not REAL_DATA, reason="$GAN_JAX_DATA_DIR names no data set")
def test_auto_is_fashion_mnist_where_it_is(tmp_path):
    done = train(tmp_path / "run", "--steps=2", "--batch_size=8")
    assert done.returncode == 0, done.stderr
    assert "wasserstein_gp on fashion_mnist (read from" in done.stdout
    contents = json.loads((tmp_path / "run" / "config.json").read_text())
    assert contents["flags"]["dataset"] == "fashion_mnist"


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("conditional") / "run"
    flags = ("--dataset=garments", "--batch_size=8", "--loss=hinge", "--conditional")
    done = train(workdir, *flags, "--steps=4", "--sample_every=2")
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_a_conditional_run_draws_the_class_that_is_asked_for(conditional, tmp_path):
    workdir, done = conditional
    assert "conditional hinge on garments" in done.stdout
    output = tmp_path / "samples.npz"
    flags = (f"--workdir={workdir}", "--num_samples=12", f"--output={output}")
    for more, labels in (((), [*range(10), 0, 1]), (("--label=7",), [7] * 12)):
        done = python("-m", "experiments.sample", *flags, *more)
        assert done.returncode == 0, done.stderr
        with np.load(output) as arrays:
            assert arrays["labels"].dtype == np.int32
            assert arrays["labels"].tolist() == labels
            assert arrays["images"].shape == (12, 28, 28, 1)


def test_evaluate_measures_runs_and_files_side_by_side(conditional, trained, tmp_path):
    output, table = tmp_path / "samples.npz", tmp_path / "table.md"
    flags = (f"--workdir={conditional[0]}", "--num_samples=60", f"--output={output}")
    assert python("-m", "experiments.sample", *flags).returncode == 0
    done = python(
        "-m",
        "experiments.evaluate",
        f"--workdir={conditional[0]},{trained[0]}",
        f"--samples={output}",
        "--num_samples=50",
        f"--markdown={table}",
        "--quick",
        GAN_JAX_CACHE_DIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    rows = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert {"training images", "noise", str(output), str(trained[0])} <= set(rows)
    # The file holds what the run draws: the same numbers.
    mine, file = (rows[str(name)].split() for name in (conditional[0], output))
    assert mine[1:] == file[1:]
    document = json.loads((conditional[0] / "evaluation.json").read_text())
    assert 0 <= document["values"]["class_accuracy"] <= 1
    assert (trained[0] / "neighbours.png").exists()
    assert table.read_text().count("\n| ") == 6
    assert len(list((tmp_path / "classifiers").iterdir())) == 1


def test_interpolate_leaves_a_picture_and_a_film(conditional):
    workdir, _ = conditional
    done = python("-m", "experiments.interpolate", f"--workdir={workdir}", "--rows=3")
    assert done.returncode == 0, done.stderr
    picture = Image.open(workdir / "interpolation.png")
    assert picture.size == (2 * (10 * 30 - 2), 2 * (3 * 30 - 2))
    assert Image.open(workdir / "training.gif").n_frames == 2
    assert done.stdout.split() == [
        str(workdir / "interpolation.png"),
        str(workdir / "training.gif"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "train",
        "sample",
        "evaluate",
        "interpolate",
        "quality",
        "calibration",
        "benchmark",
    ],
)
def test_help_says_how_to_call_it(name):
    done = python("-m", f"experiments.{name}", "--help")
    assert f"python -m experiments.{name}" in done.stdout
    assert "--workdir" in done.stdout or "--loss" in done.stdout
    assert "Traceback" not in done.stderr


IMPORT = """
import sys, time
start = time.perf_counter()
import gan_jax
seconds = time.perf_counter() - start
from gan_jax import data, evaluation, loop, losses, parallel, penalties, recipes
from gan_jax import runs, sampling, training
data.load("garments", garments_size=10)
print(seconds, "tensorflow" in sys.modules)
"""


def test_the_package_imports_at_once_and_never_imports_tensorflow():
    done = python("-c", IMPORT)
    assert done.returncode == 0, done.stderr
    seconds, tensorflow = done.stdout.split()
    assert float(seconds) < 1.5
    assert tensorflow == "False"


def test_every_package_is_installed_with_the_project():
    import tomllib

    root = pathlib.Path(__file__).parents[2]
    listed = tomllib.loads((root / "pyproject.toml").read_text())
    listed = listed["tool"]["setuptools"]["packages"]
    found = [
        p.parent
        for top in ("gan_jax", "experiments")
        for p in (root / top).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(".".join(p.relative_to(root).parts) for p in found)
