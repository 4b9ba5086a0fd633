"""The experiments of the theory: their claims hold, and one that does not is told."""

import importlib
import json
import sys

import jax
import pytest
from absl import flags
from PIL import Image

from experiments import theory
from gan_jax import claims, plots
from tests.experiments.calls import call

NAMES = (
    "best_response",
    "divergences",
    "kl_generator",
    "lipschitz",
    "optimal_discriminator",
    "projection",
)


@pytest.fixture(autouse=True)
def as_its_user_runs_it(monkeypatch):
    """The command line is the test's, and JAX as the entry points have it."""
    monkeypatch.setattr(sys, "argv", ["theory.py"])
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["theory.py"])
    with jax.numpy_rank_promotion("allow"):
        yield


def run(main, name, folder, *arguments):
    """Exit status, output and errors of an entry point."""
    return call(main, f"experiments.{name}", [f"--workdir={folder}", *arguments])


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_of_a_quick_run_holds_and_is_saved(name, tmp_path, capsys):
    main = importlib.import_module(f"experiments.{name}").main
    result = run(main, name, tmp_path / "out", "--quick")
    assert result["status"] == 0, result["stderr"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        f"{name}.png",
        "results.json",
    ]
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["experiment"] == name
    assert len(document["claims"]) >= 5
    assert all(claim["ok"] for claim in document["claims"])
    # No claim is empty: each has a tolerance, or is a bound.
    for claim in document["claims"]:
        assert claim["relation"] in ("=", "<=", ">=")
        assert (claim["tolerance"] is None) is (claim["relation"] != "=")
    with Image.open(tmp_path / "out" / f"{name}.png") as picture:
        assert picture.size[0] > 1000


def one_claim(claim):
    def measure(seed, quick):
        figure, _ = plots.subplots(("nothing",))
        return [claims.equal("seed", seed, seed, 0), claim], figure

    return lambda: theory.main("one_claim", measure)


def test_a_claim_out_of_its_tolerance_is_named_and_ends_in_status_1(tmp_path):
    main = one_claim(claims.equal("the wrong one", 1, 2, 0.5))
    result = run(main, "one_claim", tmp_path, "--seed=5")
    assert result["status"] == 1
    assert result["stderr"] == "one_claim: outside of its tolerance: the wrong one\n"
    # What was measured is saved nonetheless.
    found = json.loads((tmp_path / "results.json").read_text())
    assert [claim["ok"] for claim in found["claims"]] == [True, False]
    assert found["seed"] == found["claims"][0]["measured"] == 5


def test_claims_that_hold_end_in_status_0(tmp_path):
    main = one_claim(claims.at_least("the right one", 1, 2))
    assert run(main, "one_claim", tmp_path) == {"status": 0, "stderr": ""}


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_line_before_anything_is_measured(name, tmp_path):
    main = importlib.import_module(f"experiments.{name}").main
    (tmp_path / "file").write_text("")
    for folder in ("run/config.json", f"figure/{name}.png/a"):
        (tmp_path / folder).parent.mkdir(parents=True)
        (tmp_path / folder).write_text("")
    before = set(tmp_path.rglob("*"))
    for arguments, words in (
        ([f"--workdir={tmp_path / 'file'}"], "is a file: name a folder"),
        ([f"--workdir={tmp_path / 'run'}"], "holds config.json, which is not"),
        ([f"--workdir={tmp_path / 'figure'}"], f"holds {name}.png, which is not"),
        (["--seed=-1"], "--seed=-1 must be in"),
        (["--steps=3"], "steps"),
        (["extra"], "unexpected argument 'extra'"),
    ):
        result = run(main, name, tmp_path / "new", *arguments)
        assert result["status"] == 2
        assert len(result["stderr"].splitlines()) == 1
        assert words in result["stderr"]
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_page_with_its_figure(name):
    root = theory.__file__.rpartition("/experiments/")[0]
    with open(f"{root}/docs/{name}.md") as page:
        text = page.read()
    assert f"python -m experiments.{name}" in text
    assert f"]({name}.png)" in text
