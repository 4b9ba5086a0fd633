"""Somebody's own pictures, in colour, from the command line to samples."""

import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from gan_jax.run.metrics_log import read_metrics
from tests.processes.running import FAST, Process


def run(program, *flags, status=0, **environment):
    ended, stdout, stderr = Process(
        [f"experiments.{program}", *flags], **environment
    ).end()
    assert ended == status, stderr
    return stderr if status else stdout


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three classes of twenty pictures, of an odd size."""
    root = tmp_path_factory.mktemp("my pictures")
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs", "others"):
        (root / name).mkdir()
        for i in range(20):
            pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory):
    """A conditional run, and the flags that go on with it."""
    folder = tmp_path_factory.mktemp("own")
    flags = [
        *("--dataset=folder", f"--data_dir={pictures}", "--image_size=16"),
        *("--loss=wasserstein_gp", "--conditional", "--batch_size=4"),
        *("--sample_every=2", f"--workdir={folder / 'run'}"),
    ]
    cache = {"GAN_JAX_CACHE_DIR": str(folder / "cache"), "XLA_FLAGS": FAST}
    said = run("train", *flags, "--steps=4", "--evaluate_every=4", **cache)
    return folder / "run", flags, cache, said


def test_shape_and_classes_are_those_of_the_pictures(trained, pictures):
    folder, _, _, said = trained
    assert (
        f"(read from {pictures}, every tenth of 60 pictures held out), 4 steps" in said
    )
    flags = json.loads((folder / "config.json").read_text())["flags"]
    assert flags["shape"] == [16, 16, 3]
    assert flags["num_classes"] == 3
    assert read_metrics(folder)[-1]["fcd"] > 0
    with Image.open(folder / "real.png") as real:
        # Ten of each class, a class a column.
        assert (real.mode, real.size) == ("RGB", ((3 * 18 - 2) * 2, (10 * 18 - 2) * 2))
    with Image.open(folder / "samples" / "step_000004.png") as grid:
        assert (grid.mode, grid.size) == ("RGB", ((3 * 18 - 2) * 2, (10 * 18 - 2) * 2))


def test_such_a_run_goes_on_and_other_pictures_are_refused(trained, pictures):
    folder, flags, cache, _ = trained
    assert "up to step 4: going on" in run("train", *flags, "--steps=6", **cache)
    gray = run("train", *flags, "--channels=1", "--steps=8", status=2, **cache)
    assert "holds another run (--dataset=folder-" in gray
    assert "--shape=[16, 16, 3] there and [16, 16, 1] now" in gray
    alone = [f"--data_dir={pictures / 'cats'}" if "data_dir" in f else f for f in flags]
    classless = run("train", *alone, "--overwrite", status=2, **cache)
    assert "--conditional needs labels of two classes or more" in classless
    assert len(list(folder.glob("checkpoints/*"))) == 2


def test_samples_and_interpolations_are_in_colour(trained, tmp_path):
    folder = trained[0]
    output = tmp_path / "samples.npz"
    flags = (f"--workdir={folder}", f"--output={output}", "--num_samples=7")
    run("sample", *flags)
    with np.load(output) as arrays:
        assert arrays["images"].shape == (7, 16, 16, 3)
        assert arrays["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert "--label=3 must be in 0 ... 2" in run(
        "sample", *flags, "--label=3", status=2
    )
    run("interpolate", f"--workdir={folder}", "--rows=2")
    with Image.open(folder / "interpolation.png") as picture:
        assert picture.mode == "RGB"
    with Image.open(folder / "training.gif") as film:
        assert np.ptp(np.asarray(film.convert("RGB")), axis=-1).max() > 0


def test_they_are_measured_against_those_that_are_held_out(trained, tmp_path):
    folder, _, cache, _ = trained
    draw = ("sample", f"--workdir={folder}", f"--output={tmp_path}/out/")
    run(*draw)
    assert "out is there already: name a new folder" in run(*draw, status=2)
    measure = ("evaluate", f"--workdir={folder}", "--num_samples=60", "--quick")
    said = run(*measure, f"--samples={tmp_path / 'out'}", **cache)
    header, *rows = said.splitlines()
    assert "FCD" in header
    assert "class accuracy" in header
    names = {row.split("  ")[0] for row in rows}
    assert {"training images", str(folder), str(tmp_path / "out"), "noise"} <= names
    assert "against the 6 test images of folder-" in said
    assert "every tenth of 60 pictures held out" in said
    assert "There are 54 training images: their row is of so many." in said
    said = run(*measure, "--features=random", **cache)
    assert "Frechet (random)" in said
    assert "random features of an untrained network" in said
    assert "class accuracy" not in said
    document = json.loads((folder / "evaluation.json").read_text())
    assert document["features"]["name"] == "random"
    assert document["values"]["frechet_random"] > 0
    assert (document["num_samples"], document["floor"]["num_samples"]) == (60, 54)
    elsewhere = run(*measure, f"--data_dir={tmp_path / 'out'}", status=2, **cache)
    assert "was trained on folder-" in elsewhere
    assert "name the images that it was trained on with --data_dir" in elsewhere
    before = (folder / "evaluation.json").read_bytes()
    np.savez(tmp_path / "other.npz", np.zeros((60, 28, 28, 1), np.uint8))
    said = run(*measure, f"--samples={tmp_path / 'other.npz'}", status=2, **cache)
    assert "other.npz: 28 x 28 x 1, and the images of folder-" in said
    assert (folder / "evaluation.json").read_bytes() == before


STUDY = ("--loss=hinge", "--steps=2", "--sweep=seed:0..1", "--num_samples=50")


@pytest.mark.parametrize(
    "labelled", [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_a_study_of_them_is_named_by_its_features(
    pictures, tmp_path, trained, labelled
):
    place = pictures
    if not labelled:
        place = tmp_path / "flat"
        place.mkdir()
        for path in pictures.rglob("*.png"):
            shutil.copy(path, place / f"{path.parent.name}_{path.name}")
    own = ("--dataset=folder", f"--data_dir={place}", "--image_size=16")
    flags = (
        "study",
        *own,
        *STUDY,
        "--num_devices=1",
        f"--workdir={tmp_path / 'study'}",
    )
    small = {"small": True, **trained[2]}
    said = run(*flags, **small)
    title, key = ("FCD", "fcd") if labelled else ("Frechet (random)", "frechet_random")
    assert f"hinge seed=1  {title} " in said
    command = shlex.join([f"--data_dir={place}", "--image_size=16"])
    assert f"--dataset=folder {command}" in said
    header = (tmp_path / "study" / "runs.csv").read_text().splitlines()[0]
    assert f",{key},{key}_train,classes," in header
    assert "2 of them are done already" in run(*flags, **small)
    if not labelled:  # refused before what is there is deleted
        said = run(*flags, "--conditional", "--overwrite", status=2, **small)
        assert "--conditional needs labels" in said
        assert (tmp_path / "study" / "runs.csv").exists()
