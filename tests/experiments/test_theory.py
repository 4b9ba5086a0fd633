"""The experiments of the theory: their claims hold, and one that does not is told."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
NAMES = (
    "best_response",
    "divergences",
    "gaussian_gans",
    "kl_generator",
    "lipschitz",
    "optimal_discriminator",
    "penalty_price",
    "projection",
)
MISTAKES = {
    "file": (["--workdir={0}/file"], "is a file: name a folder"),
    "another run": (["--workdir={0}/run"], "holds config.json, which is not"),
    "a folder for a figure": (["--workdir={0}/figure"], ".png, which is not"),
    "seed": (["--workdir={0}/new", "--seed=-1"], "--seed=-1 must be in"),
    "flag": (["--workdir={0}/new", "--steps=3"], "steps"),
    "argument": (["--workdir={0}/new", "extra"], "unexpected argument 'extra'"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("theory")
    (root / "file").write_text("")
    for name in ("run/config.json", *(f"figure/{name}.png/a" for name in NAMES)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


@pytest.fixture(scope="module")
def results(folder):
    """Every call of this file, in one process; what the mistakes left."""
    mistakes = [[a.format(folder) for a in case[0]] for case in MISTAKES.values()]
    before = set(folder.rglob("*"))
    found = call({f"experiments.{name}": mistakes for name in NAMES})
    left = set(folder.rglob("*")) - before
    calls = {
        f"experiments.{name}": [["--quick", f"--workdir={folder / name}"]]
        for name in NAMES
    }
    calls["tests.experiments.one_claim"] = [
        [f"--workdir={folder / 'wrong'}", "--seed=0"],
        [f"--workdir={folder / 'right'}", "--seed=5"],
    ]
    return {"mistakes": found, "left": left, "runs": call(calls)}


def call(calls):
    """Exit status and errors of each call."""
    cache = jax.config.jax_compilation_cache_dir
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.calls"],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_of_a_quick_run_holds_and_is_saved(name, folder, results):
    (result,) = results["runs"][f"experiments.{name}"]
    assert result == {"status": 0, "stderr": ""}
    files = sorted(path.name for path in (folder / name).iterdir())
    assert files == [f"{name}.png", "results.json"]
    document = json.loads((folder / name / "results.json").read_text())
    assert document["experiment"] == name
    assert len(document["claims"]) >= 5
    for claim in document["claims"]:
        assert claim["ok"]
        # No claim is empty: each has a tolerance, or is a bound.
        assert claim["relation"] in ("=", "<=", ">=")
        assert (claim["tolerance"] is None) is (claim["relation"] != "=")
    with Image.open(folder / name / f"{name}.png") as picture:
        assert picture.size[0] > 900


def test_a_claim_out_of_its_tolerance_is_named_and_ends_in_status_1(folder, results):
    wrong, right = results["runs"]["tests.experiments.one_claim"]
    line = "one_claim: outside of its tolerance: the seed is not 0\n"
    assert wrong == {"status": 1, "stderr": line}
    assert right == {"status": 0, "stderr": ""}
    # What was measured is saved in both.
    for run, seed, ok in (("wrong", 0, [True, False]), ("right", 5, [True, True])):
        found = json.loads((folder / run / "results.json").read_text())
        assert [claim["ok"] for claim in found["claims"]] == ok
        assert found["seed"] == found["claims"][0]["measured"] == seed


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_line_before_anything_is_measured(name, results):
    found = results["mistakes"][f"experiments.{name}"]
    for result, (_, words) in zip(found, MISTAKES.values(), strict=True):
        assert result["status"] == 2
        assert len(result["stderr"].splitlines()) == 1
        assert words in result["stderr"]


def test_mistakes_leave_nothing_behind(results):
    assert results["left"] == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_page_with_its_figure(name):
    text = (ROOT / "docs" / f"{name}.md").read_text()
    assert f"python -m experiments.{name}" in text
    assert f"]({name}.png)" in text
