"""The search among halvings, as a user does it."""

import json

import pytest

from tests.processes.running import FAST, Process


@pytest.mark.slow
def test_every_halving_is_replayed_from_one_search(tmp_path, evaluation_cache):
    output = tmp_path / "halving.json"
    argv = ["experiments.measure.halving", "--quick", "--dataset=auto", "--seed=7"]
    status, stdout, stderr = Process(
        [*argv, f"--output={output}"],
        small=False,
        XLA_FLAGS=FAST,
        GAN_JAX_CACHE_DIR=str(evaluation_cache),
        GAN_JAX_DATA_DIR=str(tmp_path),  # without a data set, and no way to one
        http_proxy="http://127.0.0.1:1",
    ).end()
    assert status == 0, stderr
    document = json.loads(output.read_text())
    assert document["command"].startswith("python -m experiments.measure.halving --qui")
    assert document["warning"].startswith("drawn garments stand in for the real ones")
    assert stderr.startswith(f"warning: {document['warning']}\n")
    [search] = document["searches"]
    assert len(search) == 4
    assert len({gan["drawn"]["generator_lr"] for gan in search}) == 4
    steps = [[*gan["fcd_train"]] for gan in search]
    assert steps == [["2", "6", "18", "54"]] * 4
    found = [
        (row["halving"], row["rungs"], row["keep"]) for row in document["halvings"]
    ]
    assert found == [(3, 4, 3), (3, 3, 3), (3, 4, 2), (3, 3, 2)]
    for row in document["halvings"]:
        assert 0 < row["share"] <= 1
        assert f"{row['hits']} of 1" in stdout
