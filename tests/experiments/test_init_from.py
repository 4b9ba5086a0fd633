"""A run that begins with another one's weights, from the command line."""

import json

from tests.processes.running import call, data_flags


def test_a_run_begins_with_another_one_s_weights_and_says_so(tmp_path):
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    small = (*data_flags(), "--steps=3", "--track=")
    kl, hinge = ((*small, f"--loss={loss}") for loss in ("kl", "hinge"))
    init, mine = f"--init_from={first}", f"--workdir={second}"
    calls = [
        (*kl, f"--workdir={first}"),
        (*hinge, init, mine),
        # It goes on, after the other one has, too.
        (*kl, f"--workdir={first}", "--steps=5"),
        (*hinge, init, mine, "--steps=6"),
        (*hinge, mine, "--steps=6"),
        # And what does not fit leaves nothing.
        (*hinge, init, f"--workdir={other}", "--conditional"),
    ]
    answers = call({"experiments.train": calls}, small=True)["experiments.train"]
    assert [answer["status"] for answer in answers] == [0, 0, 0, 0, 2, 2], answers
    config = json.loads((second / "config.json").read_text())
    assert config["init_from"] == str(first)
    assert len(config["flags"]["init_from"]) == 64
    *_, further, without, unfit = answers
    assert "going on from there" in further["stdout"]
    assert f"began with {init}: give that to go on" in without["stderr"]
    assert "other networks, images or labels" in unfit["stderr"]
    assert not other.exists()
