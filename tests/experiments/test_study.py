"""Studies as a user runs them: what they leave, and that they go on."""

import ast
import csv
import functools
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan_jax.run import configuration
from tests.processes.running import (
    FAST,
    Process,
    begin_study,
    call,
    wait_until,
)

QUICK = ("--quick", "--num_samples=100", "--loss=nonsaturating", "--steps=3")
SEEDS = "--sweep=batch_size:8,generator_lr:1e-4..1e-2:log,seed:0.."


@pytest.fixture(scope="module")
def begin(evaluation_cache):
    """Starts a study of small networks."""
    return functools.partial(begin_study, evaluation_cache)


@pytest.fixture(scope="module")
def study(begin, tmp_path_factory):
    """A study of three GANs, and started again for four."""
    folder = tmp_path_factory.mktemp("study") / "mine"
    outputs = []
    for last in (2, 3):
        status, stdout, stderr = begin(folder, *QUICK, f"{SEEDS}{last}").end()
        assert status == 0, stderr
        lines = (folder / "runs.jsonl").read_text()
        outputs.append((stdout, lines))
    return folder, outputs


def test_each_gan_has_a_line_a_row_and_samples(study):
    folder, _ = study
    lines = [json.loads(line) for line in (folder / "runs.jsonl").open()]
    rows = list(csv.DictReader((folder / "runs.csv").open()))
    assert [line["seed"] for line in lines] == [0, 1, 2, 3]
    rates = [line["swept"]["generator_lr"] for line in lines]
    assert len({*rates}) == 4
    for line, row in zip(lines, rows, strict=True):
        assert line["steps"] == 3
        assert np.isfinite(line["fcd"])
        assert float(row["fcd"]) == line["fcd"]
        assert float(row["generator_lr"]) == line["swept"]["generator_lr"]
        assert line["flags"]["generator_lr"] == line["swept"]["generator_lr"]
        assert line["flags"]["batch_size"] == 8
    assert len(list((folder / "samples").glob("*.png"))) == 4
    assert not (folder / "wave").exists()


def test_the_table_and_the_results_have_the_distribution(study):
    folder, outputs = study
    results = json.loads((folder / "results.json").read_text())
    fcd = [gan["fcd"] for gan in results["gans"]]
    [group] = results["groups"]
    assert group["gans"] == 4
    assert group["mean"] == pytest.approx(np.mean(fcd))
    assert group["std"] == pytest.approx(np.std(fcd, ddof=1))
    assert results["dataset"] == "garments"
    table = outputs[-1][0]
    assert f"{np.mean(fcd):.1f} ± {np.std(fcd, ddof=1):.1f}" in table
    assert re.search(r"nonsaturating +batch_size=8 +4 ", table)


def test_a_figure_is_drawn(study):
    image = np.asarray(Image.open(study[0] / "study.png").convert("L"))
    assert image.std() > 10


def test_a_larger_sweep_trains_only_what_is_new(study):
    (first, few), (second, more) = study[1]
    assert "3 of them are done already" in second
    assert second.count("compiled in") == first.count("compiled in") == 1
    assert more.startswith(few)


def test_the_best_one_is_named_with_the_command_that_trains_it_alone(study):
    folder, outputs = study
    lines = [json.loads(line) for line in (folder / "runs.jsonl").open()]
    best = min(lines, key=lambda line: line["fcd_train"])
    said = outputs[-1][0].partition("alone: ")[2].splitlines()[0]
    words = shlex.split(said)
    assert words[:3] == ["python", "-m", "experiments.train"]
    assert f"--generator_lr={best['swept']['generator_lr']}" in words
    assert {"--batch_size=8", f"--seed={best['seed']}", "--steps=3"} <= {*words}
    assert {"--num_examples=2000", "--num_devices=1"} <= {*words}
    assert f"FCD {best['fcd']:.1f}" in outputs[-1][0]


def test_what_can_never_be_trained_is_refused_before_a_folder_is_made(tmp_path):
    sampled = ("--sampler=random", "--quick")
    asked = {
        "beta1:1.5: --beta1=1.5 must be": [*sampled, "--sweep=beta1:0..1.5:linear"],
        "must be a number from 1 to": [f"--sweep=batch_size:1{'0' * 400}"],
        "has a seed outside of": [f"--sweep=seed:1{'0' * 400}"],
    }
    results = call({"experiments.study": [*asked.values()]}, cwd=tmp_path)
    for message, result in zip(asked, results["experiments.study"], strict=True):
        assert (result["status"], result["stderr"].count("\n")) == (2, 1), result
        assert message in result["stderr"]
    assert not [*tmp_path.iterdir()]


def test_a_storage_in_the_folder_may_be_spelled_otherwise(tmp_path, evaluation_cache):
    """One in the folder is made when the folder is known to be the study's."""
    mine = [*QUICK, "--sampler=random", "--trials=1"]
    mine += ["--sweep=batch_size:8,mirror:true|false"]
    asked = {
        "a": ["--workdir=a", f"--storage={tmp_path}/a/b.journal"],
        "c": [f"--workdir={tmp_path}/c", "--storage=sqlite:///c/d.db"],
    }
    for name in (*asked, "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "thesis.tex").touch()
    calls = [[*mine, *flags] for flags in asked.values()]
    calls.append([*mine, "--workdir=files", "--storage=e.db"])
    results = call(
        {"experiments.study": calls},
        small=True,
        cwd=tmp_path,
        GAN_JAX_CACHE_DIR=str(evaluation_cache),
        XLA_FLAGS=FAST,
    )
    *whole, refused = results["experiments.study"]
    assert [result["status"] for result in whole] == [0, 0], whole
    assert refused["status"] == 2
    assert "holds files and no run" in refused["stderr"]
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"b.journal", "d.db"} <= names
    assert "e.db" not in names


def test_code_of_ones_own_is_tried_on_the_devices_that_train(
    tmp_path, evaluation_cache
):
    """What is tried starts JAX: a CPU is as many devices as are asked for by then."""
    code = tmp_path / "mine.py"
    code.write_text("from gan_jax.losses import LOSSES\n\nMINE = LOSSES['hinge']\n")
    flags = (*QUICK, f"--loss={code}:MINE", "--sweep=batch_size:8,seed:0..1")
    flags += ("--num_devices=2",)
    process = Process(
        ["experiments.study", f"--workdir={tmp_path / 'study'}", *flags],
        XLA_FLAGS=FAST,
        GAN_JAX_CACHE_DIR=str(evaluation_cache),
        JAX_NUM_CPU_DEVICES="",
    )
    status, stdout, stderr = process.end()
    assert status == 0, stderr
    assert "2 cpu a wave" in stdout


# In a process of its own: flags of one name cannot be defined twice in one.
WHERE = """
import types
from experiments import study

for engine, given in (("ray", None), ("ray", "/pictures"), ("local", None)):
    where = {"data_dir": given, "pictures": None}
    study.data_flags.where = lambda: where
    study.study_flags.ENGINE = types.SimpleNamespace(value=engine)
    print(study._where())
"""


def test_the_folder_of_the_data_is_told_to_tasks_of_ray():
    """They have the environment in which the node's Ray was started."""
    code = ["tests.processes.run_code", WHERE]
    asked = Process(code, small=False, GAN_JAX_DATA_DIR="/data/of/mine")
    status, stdout, stderr = asked.end()
    assert status == 0, stderr
    found = [ast.literal_eval(line)["data_dir"] for line in stdout.splitlines()]
    assert found == ["/data/of/mine", "/pictures", None]


@pytest.mark.slow
def test_a_study_that_is_asked_to_end_saves_and_goes_on(begin, tmp_path):
    folder = tmp_path / "study"
    rates = "generator_lr:1e-3|1e-4"  # the second is alone left: in the same program
    flags = (*QUICK, f"--sweep=batch_size:8,{rates},seed:0..1", "--steps=5000")
    process = begin(folder, *flags, "--checkpoint_every=50", "--overwrite")
    done = folder / "runs.jsonl"

    def saved():
        return {path: path.stat().st_mtime_ns for path in folder.glob("wave/*.npz")}

    first = set()

    def second_wave_has_saved():
        names = {*saved()}
        if not done.exists():
            first.update(names)
        return done.exists() and names - first

    wait_until(second_wave_has_saved, process)
    process.send_signal(signal.SIGTERM)
    status, _, stderr = process.end()
    assert status == 143, stderr
    last = stderr.splitlines()[-1]
    assert last.startswith("study: SIGTERM: 2 of 4 GANs are done; to go on: ")
    assert "--overwrite" not in last
    before = saved()
    assert len(before) == 1
    process = begin(folder, *flags, "--checkpoint_every=50")
    wait_until(lambda: saved() != before, process)
    process.send_signal(signal.SIGINT)
    status, stdout, stderr = process.end()
    assert status == 130, stderr
    [step] = re.findall(r"going on with a wave at step (\d+)", stdout)
    assert 50 <= int(step) < 5000


@pytest.mark.slow
def test_the_command_that_trains_the_best_one_alone_can_be_run(study, tmp_path):
    said = study[1][-1][0].partition("alone: ")[2].splitlines()[0]
    words = [sys.executable, *shlex.split(said)[1:]]
    where = {**os.environ, "PYTHONPATH": os.getcwd(), "JAX_NUM_CPU_DEVICES": "2"}
    done = subprocess.run(
        words, cwd=tmp_path, env=where, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [folder] = (tmp_path / "runs").iterdir()
    config = configuration.read_config(folder).flags()
    line = json.loads((study[0] / "runs.jsonl").read_text().splitlines()[0])
    same = {"generator_lr", "seed", "num_examples"}
    assert {k: v for k, v in config.items() if k not in same} == {
        k: v for k, v in line["flags"].items() if k not in same
    }
