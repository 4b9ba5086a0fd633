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

from gan_jax import runs, sampling

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
    assert [line["step"] for line in runs.read_metrics(workdir)] == [2, 4, 6]
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
    assert runs.read_metrics(workdir)[-1]["step"] == 8
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


@pytest.mark.parametrize("name", ["train", "sample", "benchmark"])
def test_help_says_how_to_call_it(name):
    done = python("-m", f"experiments.{name}", "--help")
    assert f"python -m experiments.{name}" in done.stdout
    assert "--output" in done.stdout or "--loss" in done.stdout
    assert "Traceback" not in done.stderr


IMPORT = """
import sys, time
start = time.perf_counter()
import gan_jax
seconds = time.perf_counter() - start
from gan_jax import loop, losses, parallel, penalties, recipes, runs, training, data
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
