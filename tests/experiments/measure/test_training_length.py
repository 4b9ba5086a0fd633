"""A long training is measured on the way, and goes on."""

import json
import shutil

import pytest

from tests.processes.running import FAST, Process


@pytest.fixture(scope="module")
def call(tmp_path_factory, evaluation_cache):
    """Runs the program in one folder, again and again."""
    folder = tmp_path_factory.mktemp("training_length")

    def run(*argv, how="--quick", num_samples=100):
        process = Process(
            [
                "experiments.measure.training_length",
                how,
                f"--num_samples={num_samples}",
                f"--workdir={folder}",
                *argv,
            ],
            small=False,
            XLA_FLAGS=FAST,
            GAN_JAX_CACHE_DIR=str(evaluation_cache),
        )
        return folder, *process.end()

    return run


@pytest.mark.slow
def test_it_measures_after_each_of_the_epochs_and_goes_on_to_more(call):
    shown = ["last", "recipe", "0.05", "0.25"]
    rows = {}
    for epochs in ("1,3", "1,3,4"):
        folder, status, stdout, stderr = call(
            "--gans=hinge", f"--epochs={epochs}", "--lengths=0.05,0.25"
        )
        assert status == 0, stderr
        rows[epochs] = json.loads((folder / "results.json").read_text())["rows"]
        assert all(f"FCD {name}" in stdout for name in shown)
        if epochs == "1,3":  # as if the disk had been full when the run was saved
            [*_, newest] = sorted(
                (folder / "hinge" / "checkpoints").iterdir(), key=lambda p: int(p.name)
            )
            shutil.rmtree(newest)
    for again, first in zip(rows["1,3,4"], rows["1,3"], strict=False):
        assert again | {"seconds": first["seconds"]} == first
    steps = [row["step"] for row in rows["1,3,4"]]
    assert steps == [steps[0], 3 * steps[0], 4 * steps[0]]
    for row in rows["1,3,4"]:
        assert [*row["measured"]] == shown
        own = row["measured"]["recipe"]
        assert {"fcd", "precision", "recall", "overfitting", "copying"} <= own.keys()
        assert len({values["fcd"] for values in row["measured"].values()}) > 1
    assert (folder / "training_length.png").stat().st_size > 1000
    assert (folder / "hinge" / "metrics.jsonl").exists()
    _, status, _, stderr = call("--gans=hinge", "--epochs=1,2,4", "--lengths=0.05,0.25")
    assert status == 2
    assert "trained past epoch 2, and was not measured after it" in stderr
    few = ("--gans=hinge", "--epochs=1,3,4", "--lengths=0.05,0.25")
    _, status, _, stderr = call(*few, num_samples=90)
    assert status == 2
    assert "measured with num_samples=100, not 90: " in stderr.splitlines()[-1]
    _, status, _, stderr = call(*few, how="--dataset=garments")
    assert status == 2
    assert "--num_examples=640 there and not given now" in stderr.splitlines()[-1]
