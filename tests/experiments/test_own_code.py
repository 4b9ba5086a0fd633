"""The page on one's own code, as it stands: trained, sampled, swept, refused."""

import json
import re

import pytest

from tests.processes.running import ROOT, Process, data_flags, free_address

PAGE = (ROOT / "docs" / "own.md").read_text()
(CODE,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def run(program, *flags, status=0):
    ended, stdout, stderr = Process([f"experiments.{program}", *flags]).end()
    assert ended == status, stderr
    if status:
        assert len(stderr.splitlines()) == 1
        return stderr
    return stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The command of the page, and the file that it names."""
    folder = tmp_path_factory.mktemp("own code")
    mine = folder / "mine.py"
    mine.write_text(CODE)
    command = re.search(r"experiments.train (--network.*?:clipped)", PAGE, re.DOTALL)
    flags = command[1].replace("\\\n", " ").replace("mine.py", str(mine))
    flags = [*re.split(r"\s+(?=--)", flags), *data_flags()]
    flags.append(f"--workdir={folder / 'run'}")
    said = run("train", *flags, "--steps=4")
    return folder, mine, flags, said


def test_the_example_has_about_thirty_lines():
    assert len([line for line in CODE.splitlines() if line.strip()]) < 40


def test_the_page_trains_and_the_run_knows_its_source(trained):
    folder, mine, _, said = trained
    assert "step 4: d_loss" in said
    flags = json.loads((folder / "run" / "config.json").read_text())["flags"]
    assert flags["network"] == f"{mine}:Generator,Discriminator"
    assert flags["penalty_weight"] == 0.1
    assert list(flags["sources"]) == [str(mine)]


def test_one_of_several_processes_joins_them_before_it_is_tried(trained, tmp_path):
    _, _, flags, _ = trained
    flags = [flag for flag in flags if not flag.startswith("--workdir")]
    flags += ["--distributed", f"--coordinator={free_address()}"]
    flags += ["--num_processes=1", "--process_id=0", f"--workdir={tmp_path}"]
    assert "step 2: d_loss" in run("train", *flags, "--steps=2")


def test_it_is_sampled(trained):
    folder, *_ = trained
    output = folder / "samples.npz"
    run(
        "sample", f"--workdir={folder / 'run'}", "--num_samples=3", f"--output={output}"
    )
    assert output.exists()


def test_with_another_source_nothing_goes_on(trained):
    folder, mine, flags, _ = trained
    before = sorted((folder / "run").rglob("*"))
    mine.write_text(CODE + "\n")
    try:
        line = run("train", *flags, "--steps=6", status=2)
        assert "holds another run (with" in line
        output = folder / "none.npz"
        line = run(
            "sample", f"--workdir={folder / 'run'}", f"--output={output}", status=2
        )
        assert "is not as it was when this run began" in line
        assert not output.exists()
    finally:
        mine.write_text(CODE)
    assert sorted((folder / "run").rglob("*")) == before
    assert "step 6: d_loss" in run("train", *flags, "--steps=6")


def test_a_batch_that_cannot_be_trained_deletes_no_run(trained):
    folder, *_ = trained
    before = sorted((folder / "run").rglob("*"))
    normalised = folder / "normalised.py"
    normalised.write_text(
        CODE + "\n\nclass Normalised(Discriminator):\n    @nn.compact\n"
        "    def __call__(self, x, train):\n"
        "        x = nn.Dense(8)(x.reshape(*x.shape[:-3], -1))\n"
        "        x = nn.BatchNorm(use_running_average=not train)(x)\n"
        "        return nn.Dense(1)(x)[..., 0]\n"
    )
    line = run(
        "train",
        *data_flags(),
        *("--loss=hinge", "--recipe=published", "--batch_size=1"),
        f"--network={normalised}:Generator,Normalised",
        *("--steps=2", "--overwrite", f"--workdir={folder / 'run'}"),
        status=2,
    )
    assert "batch norm over a single number" in line
    assert sorted((folder / "run").rglob("*")) == before


@pytest.mark.slow  # a minute
def test_a_study_sweeps_names(trained):
    folder, mine, *_ = trained
    place = folder / "study"
    run(
        "study",
        f"--loss=hinge,{mine}:SMOOTHED",
        f"--sweep=network:mlp|{mine}:Generator,Discriminator,width:8,seed:0",
        *("--quick", "--steps=2", "--num_samples=50", f"--workdir={place}"),
        status=2,  # the modules have no attribute width
    )
    run(
        "study",
        f"--loss={mine}:SMOOTHED",
        f"--sweep=network:reference|{mine}:Generator,Discriminator,seed:0",
        *("--quick", "--steps=2", "--num_samples=50", f"--workdir={place}"),
    )
    rows = [
        json.loads(line) for line in (place / "runs.jsonl").read_text().splitlines()
    ]
    assert {row["swept"]["network"] for row in rows} == {
        "reference",
        f"{mine}:Generator,Discriminator",
    }
    assert len(list((place / "samples").glob("*.png"))) == 2
