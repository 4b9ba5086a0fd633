"""Somebody's own pictures, in colour, from the command line to samples."""

import json
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from gan_jax.run.metrics_log import read_metrics
from tests.processes.running import FAST, call


def run(program, *flags, status=0, **environment):
    [said] = run_all(program, [(status, flags)], **environment)
    return said


def run_all(program, calls, **environment):
    """One process calls a program again and again: what it says each time.

    Of each call the status that it is to end with, and its flags.
    """
    name = f"experiments.{program}"
    how = {"small": True, **environment}
    answers = call({name: [[*map(str, flags)] for _, flags in calls]}, **how)[name]
    for (status, _), answer in zip(calls, answers, strict=True):
        assert answer["status"] == status, answer["stderr"]
    return [answer["stderr" if answer["status"] else "stdout"] for answer in answers]


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
        f"(read from {pictures}, one in ten of 60 pictures held out), 4 steps" in said
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
    alone = [f"--data_dir={pictures / 'cats'}" if "data_dir" in f else f for f in flags]
    further, gray, classless = run_all(
        "train",
        [
            (0, [*flags, "--steps=6"]),
            (2, [*flags, "--channels=1", "--steps=8"]),
            (2, [*alone, "--overwrite"]),
        ],
        **cache,
    )
    assert "up to step 4: going on" in further
    assert "holds another run (--dataset=folder-" in gray
    assert "--shape=[16, 16, 3] there and [16, 16, 1] now" in gray
    assert "--conditional needs labels of two classes or more" in classless
    assert len(list(folder.glob("checkpoints/*"))) == 2


@pytest.fixture(scope="module")
def drawn(trained):
    """A file and a folder of samples, and what is said where they cannot be drawn."""
    folder = trained[0]
    run_of = f"--workdir={folder}"
    some = (run_of, f"--output={folder.parent / 'samples.npz'}", "--num_samples=7")
    out = (run_of, f"--output={folder.parent / 'out'}/")
    calls = [(0, some), (2, [*some, "--label=3"]), (0, out), (2, out)]
    return folder.parent, run_all("sample", calls)


def test_samples_and_interpolations_are_in_colour(trained, drawn):
    folder, said = drawn
    with np.load(folder / "samples.npz") as arrays:
        assert arrays["images"].shape == (7, 16, 16, 3)
        assert arrays["labels"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert "--label=3 must be in 0 ... 2" in said[1]
    assert "out is there already: name a new folder" in said[3]
    run("interpolate", f"--workdir={trained[0]}", "--rows=2")
    with Image.open(trained[0] / "interpolation.png") as picture:
        assert picture.mode == "RGB"
    with Image.open(trained[0] / "training.gif") as film:
        assert np.ptp(np.asarray(film.convert("RGB")), axis=-1).max() > 0


def test_they_are_measured_against_those_that_are_held_out(trained, drawn):
    folder, _, cache, _ = trained
    samples, other = drawn[0] / "out", drawn[0] / "other.npz"
    np.savez(other, np.zeros((60, 28, 28, 1), np.uint8))
    measure = (f"--workdir={folder}", "--num_samples=60", "--quick")
    said, random, elsewhere, wrong = run_all(
        "evaluate",
        [
            (0, [*measure, f"--samples={samples}"]),
            (0, [*measure, "--features=random"]),
            (2, [*measure, f"--data_dir={samples}"]),
            (2, [*measure, f"--samples={other}"]),
        ],
        **cache,
    )
    header, *rows = said.splitlines()
    assert "FCD" in header
    assert "class accuracy" in header
    names = {row.split("  ")[0] for row in rows}
    assert {"training images", str(folder), str(samples), "noise"} <= names
    assert "against the 6 test images of folder-" in said
    assert "one in ten of 60 pictures held out" in said
    assert "There are 54 training images: their row is of so many." in said
    assert "Frechet (random)" in random
    assert "random features of an untrained network" in random
    assert "class accuracy" not in random
    assert "was trained on folder-" in elsewhere
    assert "name the images that it was trained on with --data_dir" in elsewhere
    assert "other.npz: 28 x 28 x 1, and the images of folder-" in wrong
    # As it was before the calls that were refused.
    document = json.loads((folder / "evaluation.json").read_text())
    assert document["features"]["name"] == "random"
    assert document["values"]["frechet_random"] > 0
    assert (document["num_samples"], document["floor"]["num_samples"]) == (60, 54)


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
    flags = [*own, *STUDY, "--num_devices=1", f"--workdir={tmp_path / 'study'}"]
    calls = [(0, flags), (0, flags)]
    if not labelled:  # refused before what is there is deleted
        calls.append((2, [*flags, "--conditional", "--overwrite"]))
    said, again, *refused = run_all("study", calls, **trained[2])
    title, key = ("FCD", "fcd") if labelled else ("Frechet (random)", "frechet_random")
    assert f"hinge seed=1  {title} " in said
    command = shlex.join([f"--data_dir={place}", "--image_size=16"])
    assert f"--dataset=folder {command}" in said
    header = (tmp_path / "study" / "runs.csv").read_text().splitlines()[0]
    assert f",{key},{key}_train,classes," in header
    assert "2 of them are done already" in again
    assert all("--conditional needs labels" in line for line in refused)
