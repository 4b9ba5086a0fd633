"""What carries out waves: which programs stay compiled."""

from types import SimpleNamespace

from gan_jax.study import engines


def wave(program, plan="a plan"):
    return SimpleNamespace(program=SimpleNamespace(key=lambda: program), plan=plan)


def test_of_the_programs_the_last_few_stay_compiled(monkeypatch):
    compiled = []

    def trainer(wave, dataset, say):
        compiled.append(wave.program.key())
        return SimpleNamespace(of=wave.program.key())

    monkeypatch.setattr(engines, "Trainer", trainer)
    subject = SimpleNamespace(images=None, device=None, dataset="images")
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
