"""What carries out waves: which programs stay compiled."""

from types import SimpleNamespace

import pytest

from gan_jax import data, own_code
from gan_jax.errors import UserError
from gan_jax.study import cluster, engines, sweep, waves


def wave(program, plan="a plan"):
    return SimpleNamespace(program=SimpleNamespace(key=lambda: program), plan=plan)


def test_of_the_programs_the_last_few_stay_compiled(monkeypatch):
    compiled = []

    def trainer(wave, dataset, say):
        compiled.append(wave.program.key())
        return SimpleNamespace(of=wave.program.key())

    monkeypatch.setattr(engines, "Trainer", trainer)
    subject = SimpleNamespace(images=None, device=None, floor=0.5, dataset="images")
    local = engines.Local(subject)
    for program in (0, 1, 2, 3, 3, 0):
        assert local._trainer(wave(program)).of == program
    assert compiled == [0, 1, 2, 3]
    for program in (4, 1, 2, 3, 4, 0):  # 4 takes the place of 0, and 0 that of 1
        assert local._trainer(wave(program)).of == program
    assert compiled == [0, 1, 2, 3, 4, 0]
    assert len(local._trainers) == 4
    local._trainer(wave(0, "another plan"))
    assert compiled[6:] == [0]


LOSS = """
from gan_jax.losses import LOSSES
LOSS = LOSSES["hinge"]
"""


def test_code_that_is_another_where_a_wave_is_carried_out_is_refused(
    tmp_path, monkeypatch
):
    """A process of Ray's reads the user's file anew."""
    mine = tmp_path / "mine.py"
    mine.write_text(LOSS)
    images = data.Description("garments", (28, 28, 1), 10, 64)
    axes = sweep.parse("batch_size:8")
    [program] = sweep.programs(sweep.expand([f"{mine}:LOSS"], "published", axes))
    plan = waves.Plan(images, 1, 10, 1, 1, 500)
    [wave] = waves.pack(program, plan, program.runs, begin=0, end=10)

    engine = SimpleNamespace(carry_out=lambda wave: "done")
    monkeypatch.setitem(cluster._engines, "its data set", (engine, lambda: False))
    subject = SimpleNamespace(hex=lambda: "its data set")
    make = (engines.Local, [subject], None, "")
    assert cluster._carry_out(wave, make, "CPU", None) == "done"

    mine.write_text(LOSS.replace("hinge", "minimax"))
    own_code._read.cache_clear()  # as in a new process
    message = rf"{mine} on .* is not as the study has read it: .* start again"
    with pytest.raises(UserError, match=message):
        cluster._carry_out(wave, make, "CPU", None)
    own_code._read.cache_clear()
