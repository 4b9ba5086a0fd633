"""Programs compared, and measures calibrated, as a user does it."""

import importlib.util
import json
import os

import numpy as np
import pytest

from gan_jax.run import checkpoints, sample_files
from tests.processes.running import FAST, Process

TORCH = importlib.util.find_spec("torch") is not None
PROGRAMS = ["peer", "published"] if TORCH else ["published"]


def end(*argv, **environment):
    """A program's status and what it prints."""
    return Process(argv, small=False, XLA_FLAGS=FAST, **environment).end()


def succeed(*argv, **environment):
    """What a program prints."""
    status, stdout, stderr = end(*argv, **environment)
    assert status == 0, stderr
    return stdout


@pytest.fixture(scope="module")
def call(tmp_path_factory, evaluation_cache):
    """Runs the experiment in one folder, again and again."""
    folder = tmp_path_factory.mktemp("quality")

    def run(how="--quick", end=succeed):
        said = end(
            "experiments.measure.quality",
            how,
            "--gans=hinge_conditional",
            f"--programs={','.join(PROGRAMS)}",
            "--seeds=2",
            "--seed=3",
            "--num_samples=60",
            f"--workdir={folder / 'work'}",
            f"--markdown={folder / 'table.md'}",
            GAN_JAX_CACHE_DIR=str(evaluation_cache),
        )
        return folder, said

    return run


@pytest.mark.slow
def test_programs_are_compared_over_seeds_and_what_is_done_is_not_done_again(call):
    folder, said = call()
    lines = [line.split() for line in said.splitlines()]
    rows = {line[1]: line for line in lines if line[:1] == ["hinge_conditional"]}
    assert set(rows) == set(PROGRAMS)
    document = json.loads((folder / "work" / "results.json").read_text())
    values = document["values"]
    names = [f"hinge_conditional/{p}/seed_{s}" for p in PROGRAMS for s in (3, 4)]
    assert set(names) <= set(values)
    assert all("class_accuracy" in values[name] for name in names)
    published = [values[f"hinge_conditional/published/seed_{s}"]["fcd"] for s in (3, 4)]
    assert published[0] != published[1]
    cells = rows["published"][3 if TORCH else 2 :]
    assert cells[:3] == [
        f"{np.mean(published):.2f}",
        "±",
        f"{np.std(published, ddof=1):.2f}",
    ]
    if TORCH:
        peer = [values[f"hinge_conditional/peer/seed_{s}"]["fcd"] for s in (3, 4)]
        assert rows["published"][2] == f"{np.mean(published) / np.mean(peer):.2f}"
    assert (
        (folder / "table.md")
        .read_text()
        .startswith("```\npython -m experiments.measure.q")
    )
    _, again = call()
    assert "compiled" not in again
    assert (
        json.loads((folder / "work" / "results.json").read_text())["values"] == values
    )
    # A quick run is not taken up as a whole one.
    _, (status, _, stderr) = call("--dataset=garments", end)
    assert status == 2, stderr
    assert "(--num_examples=640 there and not given now)" in stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_run_that_is_asked_to_end_is_saved_and_says_how_to_go_on(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4400, 28, 28, 1), np.uint8)
    np.save(tmp_path / "images.npy", images)
    flags = (
        *("--dataset=npy", f"--data_dir={tmp_path}", f"--workdir={tmp_path / 'work'}"),
        *("--gans=hinge", "--programs=published", "--seeds=1", "--num_samples=60"),
    )
    program = ("tests.experiments.measure.interrupted", "experiments.measure.quality")
    process = Process([*program, *flags], GAN_JAX_CACHE_DIR=str(tmp_path / "cache"))
    status, _, stderr = process.end()
    assert status == 143, stderr
    name = "hinge/published/seed_0"
    assert checkpoints.newest(tmp_path / "work" / name) == 50  # the first line's step
    said = stderr.splitlines()[-1]
    assert f"SIGTERM: {name} is saved at step 50 of 61; to go on: " in said
    assert "-m experiments.measure.quality --dataset=npy" in said
    assert not (tmp_path / "work" / "results.json").exists()


@pytest.mark.skipif(not TORCH, reason="PyTorch is not installed")
def test_the_peers_samples_are_those_of_its_seed(tmp_path):
    from experiments.measure.peers import sampler
    from gan_jax import recipes

    recipe = recipes.recipe("hinge", conditional=True, batch_size=8)
    spec = {
        "recipe": recipe.__dict__,
        "dataset": "garments",
        "data_dir": None,
        "pictures": {},
        "examples": 30,
        "steps": 5,  # three an epoch
        "num_samples": 23,
    }
    outputs = []
    for seed in (0, 0, 1):
        path = tmp_path / f"{len(outputs)}.npz"
        asked = json.dumps(spec | {"seed": seed, "output": str(path)})
        succeed(sampler.__name__, asked)
        outputs.append(sample_files.read_npz(path))
    assert outputs[0].images.shape == (23, 28, 28, 1)
    np.testing.assert_array_equal(outputs[0].labels, np.arange(23) % 10)
    np.testing.assert_array_equal(outputs[0].images, outputs[1].images)
    assert not np.array_equal(outputs[0].images, outputs[2].images)


@pytest.mark.slow
def test_the_calibration_measures_every_damage_at_growing_levels(
    tmp_path, evaluation_cache
):
    succeed(
        "experiments.measure.calibration",
        "--quick",
        "--dataset=auto",
        f"--workdir={tmp_path / 'work'}",
        GAN_JAX_CACHE_DIR=str(evaluation_cache),
        GAN_JAX_DATA_DIR=str(tmp_path),  # without a data set, and no way to one
        http_proxy="http://127.0.0.1:1",
    )
    document = json.loads((tmp_path / "work" / "results.json").read_text())
    assert document["warning"].startswith("drawn garments stand in for the real ones")
    assert set(document["results"]) == {"noise", "blur", "crop", "swap"}
    for lines in document["results"].values():
        assert [line["level"] for line in lines] == sorted(
            line["level"] for line in lines
        )
        assert len(lines) == 5
    assert os.path.getsize(tmp_path / "work" / "calibration.png") > 10_000


def test_the_calibration_refuses_small_images_before_it_trains_a_classifier(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 8, 28, 1), np.uint8)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(200) % 2)
    status, _, stderr = end(
        "experiments.measure.calibration",
        "--dataset=npy",
        f"--data_dir={tmp_path / 'mine.npz'}",
        f"--workdir={tmp_path / 'work'}",
        GAN_JAX_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert status == 2, stderr
    [line] = stderr.splitlines()
    assert "are 8 x 28, " in line
    assert not (tmp_path / "cache").exists()
