"""Recipes are tuned as a user does it: drawn settings, halved, kept, gone on with."""

import json
import subprocess
import sys

import pytest

from experiments.common import study_report
from gan_jax import recipes
from gan_jax.study import halving
from tests.processes.running import FAST, ROOT, Process


@pytest.fixture(scope="module")
def search(tmp_path_factory, evaluation_cache):
    """Searches in one folder; what is printed, and what is kept."""
    folder = tmp_path_factory.mktemp("tune")

    def run(*gans):
        argv = [
            "experiments.measure.tune",
            "--quick",
            "--sweep=batch_size:24,penalty_weight:1..2:log",
            "--dataset=auto",
            f"--gans={','.join(gans)}",
            f"--workdir={folder / 'work'}",
            f"--markdown={folder / 'table.md'}",
        ]
        process = Process(
            argv,
            small=False,
            XLA_FLAGS=FAST,
            GAN_JAX_CACHE_DIR=str(evaluation_cache),
            GAN_JAX_DATA_DIR=str(folder),  # without a data set, and no way to one
            http_proxy="http://127.0.0.1:1",
        )
        status, stdout, stderr = process.end()
        assert status == 0, stderr
        results, configs = (
            {
                gan: json.loads((folder / "work" / gan / file).read_text())
                for gan in gans
            }
            for file in ("results.json", "config.json")
        )
        assert all(f"warning: {r['warning']}\n" in stderr for r in results.values())
        return stdout, results, (folder / "table.md").read_text(), configs

    return run


# In a process of its own: flags of one name cannot be defined twice in one.
MEANWHILE = """
import pathlib, sys, types
from experiments.measure import tune
from gan_jax.errors import UserError
from gan_jax.study import study_folder
from tests.study.test_driver import IMAGES

folder = pathlib.Path(sys.argv[1])
subject = types.SimpleNamespace(images=IMAGES, device="cpu")
study_folder.begin(folder, {"num_samples": 5000}, IMAGES, "cpu", False)
before = (folder / "config.json").read_bytes()
tune.searching.search = lambda *args: []
for count in (100, 5000):
    try:
        print(tune._search(subject, None, [], folder, {"num_samples": count}, {}))
    except UserError as error:
        assert (folder / "config.json").read_bytes() == before
        print(error)
"""


def test_a_folder_that_another_search_has_begun_meanwhile_is_left_to_it(tmp_path):
    """Hours lie between the first look at a folder and its search."""
    said = subprocess.run(
        [sys.executable, "-c", MEANWHILE, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    refused, gone_on = said.stdout.splitlines()
    assert "--num_samples=5000 there and 100 now" in refused
    assert gone_on == "[]"


@pytest.mark.slow
def test_the_best_of_drawn_settings_goes_on_and_a_search_is_not_made_again(search):
    _, first, _, _ = search("hinge")
    said, both, table, configs = search("hinge", "hinge_conditional")
    assert both["hinge"]["settings"] == first["hinge"]["settings"]
    for gan, results in both.items():
        assert halving.Halving(**results["rungs"]).steps(18) == [2, 6, 18]
        settings = results["settings"]
        assert results["space"].endswith(",batch_size:24,penalty_weight:1..2:log")
        assert [each["steps"] for each in settings] == [18, 6, 2, 2]
        assert sorted(each["seed"] for each in settings) == [1000, 1001, 1002, 1003]
        distances = [each["fcd_train"] for each in settings]
        assert distances[0]["2"] <= min(d["2"] for d in distances[2:])
        assert distances[0]["6"] <= distances[1]["6"]
        for each in settings:  # a setting is a recipe's numbers
            recipes.recipe("hinge", **each["setting"])
            assert each["setting"]["batch_size"] == 24
            assert 1 <= each["setting"]["penalty_weight"] <= 2
            assert each["setting"].keys() >= {"generator_lr", "ema_decay", "beta2"}
        assert f"| {gan} | {distances[0]['18']:.1f} | 18 |" in table
        assert gan in said
    drawn = [
        sorted(str(each["setting"]) for each in results["settings"])
        for results in both.values()
    ]
    assert drawn[0] == drawn[1]  # of a setting's place alone
    row = {"loss": "hinge", "swept": {}, "seed": 1000, "flags": {"steps": 18}}
    for gan, config in configs.items():  # as the explorer reads it
        words = study_report.command(row, config["flags"]).split()
        assert {"--recipe=published", "--dataset=garments", "--num_examples=2000"} <= {
            *words
        }
        assert ("--conditional=True" in words) == (gan == "hinge_conditional")
