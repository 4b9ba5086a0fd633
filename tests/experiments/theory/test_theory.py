"""The experiments on the theory: it holds, and where it does not this is told."""

import json
import pathlib

import pytest
from PIL import Image

from tests.processes.running import FAST, Process, call, selected

ROOT = pathlib.Path(__file__).parents[3]
NAMES = (
    "best_response",
    "compare",
    "consensus",
    "consensus_ring",
    "curvature",
    "divergences",
    "gaussian_gans",
    "hessian_free",
    "kl_generator",
    "lipschitz",
    "mode_collapse",
    "nce",
    "nce_noise",
    "optimal_discriminator",
    "penalty_price",
    "projection",
    "sgd_nonconvex",
    "sgd_rates",
    "weight_clipping",
)
# Flags of one name cannot be defined twice in a process: these run in another, which
# takes about as long.
APART = (
    *("compare", "consensus", "consensus_ring", "curvature", "divergences", "nce"),
    "weight_clipping",
)
# Flags of a quick run that make it quicker still.
LESS = {
    "hessian_free": ["--newton_steps=2", "--dataset=auto"],
    "compare": ["--losses=hinge", "--num_samples=100", "--dataset=auto"],
}
MISTAKES = {
    "file": (["--workdir={0}/file"], "is a file: name a folder"),
    "no folder": (["--workdir="], "--workdir is empty: name a folder"),
    "another run": (["--workdir={0}/run"], "holds config.json, which is not"),
    "a folder for a figure": (["--workdir={0}/figure"], ".png, which is not"),
    "seed": (["--seed=-1"], "--seed=-1 must be in"),
    "flag": (["--stepz=3"], "stepz"),
    "argument": (["extra"], "unexpected argument 'extra'"),
}
# Of flags that only some have.
OWN_MISTAKES = {
    "compare": {
        "loss": (["--losses=hinge,wassersteingp"], "did you mean 'wasserstein_gp'"),
        "no loss": (["--losses="], "--losses is empty"),
        "no code": (["--losses=hinge,missing.py:X"], "cannot read"),
        "no seed": (["--seeds=0"], "--seeds=0 must be at least 1"),
        "no epoch": (["--epochs=0"], "--epochs=0 must be at least 1"),
        "recipe": (["--recipe=tunned"], "did you mean 'tuned'"),
        "few samples": (["--num_samples=1"], "--num_samples=1 must be in 2"),
        "last seed": (["--seed=4294967295"], "too large for 3 seeds"),
        "data set": (["--dataset=mnits"], "did you mean"),
    },
    "hessian_free": {
        "no image": (["--num_examples=49"], "--num_examples=49 must be at least 50"),
        "no step": (["--newton_steps=0"], "--newton_steps=0 must be at least 1"),
        "data set": (["--dataset=mnits"], "did you mean"),
    },
    "mode_collapse": {
        "loss": (["--losses=wassersteingp"], "did you mean 'wasserstein_gp'"),
        "no loss": (["--losses="], "--losses is empty"),
        "no code": (["--losses=hinge,missing.py:X"], "cannot read"),
        "no seed": (["--seeds=0"], "--seeds=0 must be at least 1"),
        "no step": (["--steps=0"], "--steps=0 must be at least 1"),
        "uneven steps": (["--steps=1234"], "--steps=1234 must be a multiple of 10"),
    },
}


def mistakes_of(name):
    """Arguments, and words of the line that they give."""
    return [*MISTAKES.values(), *OWN_MISTAKES.get(name, {}).values()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("theory")
    (root / "file").write_text("")
    for name in ("run/config.json", *(f"figure/{name}.png/a" for name in NAMES)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def call_each(lists, **how):
    """Calls each experiment with its lists of arguments, in two processes."""
    groups = {}, {}
    for name, arguments in lists.items():
        groups[name in APART][f"experiments.theory.{name}"] = arguments
    return call(*filter(None, groups), **how)


@pytest.fixture(scope="module")
def mistakes(folder):
    """What each mistake gave; what all of them left."""
    before = set(folder.rglob("*"))
    lists = {
        name: [
            [f"--workdir={folder}/new", *(a.format(folder) for a in arguments)]
            for arguments, _ in mistakes_of(name)
        ]
        for name in NAMES
    }
    return call_each(lists), set(folder.rglob("*")) - before


@pytest.fixture(scope="module")
def quick_runs(folder, evaluation_cache, request):
    lists = {
        name: [["--quick", f"--workdir={folder / name}", *LESS.get(name, [])]]
        for name in selected(request, "name")
    }
    return call_each(
        lists,
        XLA_FLAGS=FAST,
        GAN_JAX_CACHE_DIR=str(evaluation_cache),
        GAN_JAX_DATA_DIR=str(evaluation_cache),  # without a data set, and no way to one
        http_proxy="http://127.0.0.1:1",
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_claim_of_a_quick_run_holds_and_is_saved(name, folder, quick_runs):
    (result,) = quick_runs[f"experiments.theory.{name}"]
    assert result["status"] == 0, result["stderr"]
    files = sorted(path.name for path in (folder / name).iterdir())
    assert files == sorted([f"{name}.png", "results.json"])
    document = json.loads((folder / name / "results.json").read_text())
    warned = f"warning: {document['warning']}\n" if name in LESS else ""
    assert result["stderr"] == warned
    assert document["experiment"] == name
    assert len(document["table"]) >= (1 if name == "compare" else 5)
    for row in document["table"]:
        assert row["ok"]
        # No row is empty: each has a tolerance, or is a bound.
        assert row["relation"] in ("=", "<=", ">=")
        assert (row["tolerance"] is None) is (row["relation"] != "=")
    with Image.open(folder / name / f"{name}.png") as picture:
        assert picture.size[0] > 900


def test_a_claim_out_of_its_tolerance_is_named_and_ends_in_status_1(folder):
    calls = [
        [f"--workdir={folder / 'wrong'}", "--seed=0"],
        [f"--workdir={folder / 'right'}", "--seed=5"],
    ]
    results = call({"tests.processes.one_row": calls})
    wrong, right = results["tests.processes.one_row"]
    line = "one_row: outside of its tolerance: the seed is not 0\n"
    assert (wrong["status"], wrong["stderr"]) == (1, line)
    assert (right["status"], right["stderr"]) == (0, "")
    # What was measured is saved in both.
    for run, seed, ok in (("wrong", 0, [True, False]), ("right", 5, [True, True])):
        found = json.loads((folder / run / "results.json").read_text())
        assert [row["ok"] for row in found["table"]] == ok
        assert found["seed"] == found["table"][0]["measured"] == seed


# Slopes that are nearly right, and a race that ends the other way round.
WRONG = """
import json
import matplotlib.pyplot as plt
import numpy as np
from experiments.theory import compare, optimal_discriminator as optimal

def rows(found):
    return {row.quantity: bool(row.ok) for row in found}

def slopes():
    return rows(optimal._slopes(plt.subplots()[1]))

print(json.dumps(slopes()))
for name, slope in optimal.optimal_discriminator.GENERATOR_SLOPES.items():
    def wrong(h, slope=slope):
        return slope(h) + 0.005 * (h < -100)
    optimal.optimal_discriminator.GENERATOR_SLOPES[name] = wrong
print(json.dumps(slopes()))
for last in ({"nonsaturating": 170, "wasserstein_gp": 90, "wasserstein": 365},
             {"nonsaturating": 60, "wasserstein_gp": 150, "wasserstein": 365}):
    races = {
        name: compare.Race(*np.array([[0, 9]] * 2), np.array([[900], [fcd]]), None, "")
        for name, fcd in last.items()
    }
    print(json.dumps(rows(compare._rows(races, quick=False))))
"""


def test_rows_fail_where_their_claim_does():
    code = ["tests.processes.run_code", WRONG]
    status, stdout, stderr = Process(code, small=False).end()
    assert status == 0, stderr
    right, wrong, won, lost = map(json.loads, stdout.splitlines())
    assert len(right) > 5
    assert all(right.values())
    assert {q for q, ok in wrong.items() if ok} <= {
        q
        for q in wrong
        if q.startswith("least_squares")  # as large as the logit
    }
    assert all(won.values())
    [beaten] = [quantity for quantity, ok in lost.items() if not ok]
    assert beaten.startswith("wasserstein_gp / nonsaturating")


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_one_line_before_anything_is_measured(name, mistakes):
    found = mistakes[0][f"experiments.theory.{name}"]
    for result, (_, words) in zip(found, mistakes_of(name), strict=True):
        assert result["status"] == 2
        assert len(result["stderr"].splitlines()) == 1
        assert words in result["stderr"]


def test_mistakes_leave_nothing_behind(mistakes):
    assert mistakes[1] == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_page_with_its_figure(name):
    text = (ROOT / "docs" / f"{name}.md").read_text()
    assert f"python -m experiments.theory.{name}" in text
    assert f"]({name}.png)" in text
