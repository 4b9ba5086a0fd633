"""What Optuna asks for, and what it is told; a study that goes on asks for the same."""

import functools

import optuna
import pytest

from gan_jax.errors import UserError
from gan_jax.study import driver, ledger, search, sweep
from gan_jax.study.halving import Halving
from tests.study.test_driver import STEPS, Engine, plan, quality

LR = "generator_lr:1e-4..1e-2:log"


def search_of(
    folder, text, sampler="random", trials=9, loss="nonsaturating", owner="mine"
):
    return search.Search(
        str(folder / "optuna.journal"),
        loss,
        sweep.parse(f"batch_size:8,{text}"),
        functools.partial(sweep.expand, (loss,), "published"),
        sampler=sampler,
        trials=trials,
        seed=0,
        owner={"id": owner, "workdir": f"runs/{owner}"},
    )


def drive(folder, engine, halving=Halving(rungs=1)):  # noqa: B008
    names = ("generator_lr",)
    return driver.Driver(engine, plan(4), folder, lambda *_: None, halving, names)


def rates(asked):
    return [run.recipe.generator_lr for _, runs in asked for run in runs]


def trials_in(folder, loss="nonsaturating"):
    journal = optuna.storages.journal.JournalFileBackend(str(folder / "optuna.journal"))
    storage = optuna.storages.JournalStorage(journal)
    return optuna.load_study(study_name=loss, storage=storage).trials


def test_all_seeds_of_a_configuration_are_asked_for(tmp_path):
    asked = search_of(tmp_path, f"{LR},seed:3..5").ask(4)
    assert [number for number, _ in asked] == [0, 1]
    for _, runs in asked:
        assert [run.seed for run in runs] == [3, 4, 5]
        assert len({run.recipe.generator_lr for run in runs}) == 1
        assert all(run.group() == ("nonsaturating",) for run in runs)
    assert all(1e-4 <= rate <= 1e-2 for rate in rates(asked))


def test_no_more_are_asked_for_than_there_are_trials(tmp_path):
    mine = search_of(tmp_path, LR, trials=3)
    assert [len(mine.ask(2)) for _ in range(3)] == [2, 1, 0]


def test_the_nth_trial_does_not_depend_on_the_process(tmp_path):
    """Whoever goes on must not draw again what was drawn."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    whole = rates(search_of(tmp_path / "one", LR).ask(6))
    first = rates(search_of(tmp_path / "two", LR).ask(3))
    again = search_of(tmp_path / "two", LR)
    second = rates(again.ask(3))
    third = rates(again.ask(3))
    assert first == second == whole[:3]  # they were asked for, and nothing was told
    assert third == whole[3:]
    assert len({*whole}) == 6
    other = rates(search_of(tmp_path / "two", LR, loss="hinge").ask(3))
    assert not {*other} & {*whole}


def test_a_grid_is_taken_once(tmp_path):
    mine = search_of(tmp_path, f"{LR}:3,beta1:0.0|0.5", "grid", trials=99)
    asked = mine.ask(99)
    pairs = {(runs[0].recipe.generator_lr, runs[0].recipe.beta1) for _, runs in asked}
    assert len(asked) == len(pairs) == 6
    assert mine.ask(1) == []


def test_a_grid_is_trained_to_its_end(tmp_path):
    engine = Engine()
    mine = search_of(tmp_path, f"{LR}:3,beta1:0.0|0.5", "grid", trials=99)
    assert drive(tmp_path, engine).search(mine)
    assert [trial.state.name for trial in trials_in(tmp_path)] == ["COMPLETE"] * 6


@pytest.mark.parametrize("seeds", [1, 2, 8])
def test_a_bracket_ends_in_one_configuration_whatever_its_seeds(seeds, tmp_path):
    engine = Engine()
    course = drive(tmp_path, engine, Halving(3, 4))
    mine = search_of(tmp_path, f"{LR},seed:0..{seeds - 1}", trials=27)
    assert course.search(mine)
    states = [trial.state.name for trial in trials_in(tmp_path)]
    assert states.count("COMPLETE") == 1
    assert engine.steps == 3 * STEPS * seeds


def test_the_same_values_are_trained_once_and_told_each_time(tmp_path):
    engine = Engine()
    course = drive(tmp_path, engine)
    assert course.search(search_of(tmp_path, "mirror:true|false,seed:0..1", trials=8))
    assert engine.steps == 4 * STEPS
    assert [trial.state.name for trial in trials_in(tmp_path)] == ["COMPLETE"] * 8


@pytest.mark.parametrize("most", [0, 2])
def test_a_search_that_nobody_carries_on_is_not_over(most, tmp_path):
    """As a cluster that is asked to stop: it ends between two waves."""

    class Stopping(Engine):
        def run(self, waves):
            waves = iter(waves)
            while len(self.waves) < self._most:
                yield from super().run([next(waves)])

    course = drive(tmp_path, Stopping(most=most))
    assert not course.search(search_of(tmp_path, LR, trials=20))
    assert not course.search(search_of(tmp_path, LR, trials=20, loss="hinge"))


def test_waves_of_a_search_are_equally_wide(tmp_path):
    engine = Engine()
    drive(tmp_path, engine).search(
        search_of(tmp_path, f"{LR},latent_size:32|64", trials=30)
    )
    assert {wave.plan.width for wave in engine.waves} == {4}


def test_results_are_told_as_the_mean_over_seeds(tmp_path):
    course = drive(tmp_path, Engine())
    assert course.search(search_of(tmp_path, f"{LR},seed:0..1"))
    for trial in trials_in(tmp_path):
        rows = [
            row
            for row in course.rows.values()
            if row["swept"]["generator_lr"] == trial.params["generator_lr"]
        ]
        assert len(rows) == 2
        assert trial.value == pytest.approx(sum(row["fcd_train"] for row in rows) / 2)
    assert [trial.state.name for trial in trials_in(tmp_path)] == ["COMPLETE"] * 9


def test_one_without_a_distance_has_failed(tmp_path):
    def lost(run, steps):
        return None if run.recipe.generator_lr > 1e-3 else 1.0

    drive(tmp_path, Engine(lost)).search(search_of(tmp_path, LR))
    for trial in trials_in(tmp_path):
        failed = trial.params["generator_lr"] > 1e-3
        assert trial.state.name == ("FAIL" if failed else "COMPLETE")


def test_what_is_stopped_is_pruned_with_its_values_at_rungs(tmp_path):
    engine = Engine()
    course = drive(tmp_path, engine, Halving(3, 3))
    mine = search_of(tmp_path, LR, trials=18)
    assert course.search(mine)
    states = [trial.state.name for trial in trials_in(tmp_path)]
    assert states.count("COMPLETE") == 2  # of two brackets of nine
    assert states.count("PRUNED") == 16
    counts = sorted(len(trial.intermediate_values) for trial in trials_in(tmp_path))
    assert counts == [1] * 12 + [2] * 4 + [3] * 2
    assert engine.steps == 2 * (9 * 30 + 3 * 60 + 1 * 180)
    assert len(mine.runs()) == 18


def test_tpe_finds_better_than_random(tmp_path):
    """The mean of the last half of what it tries, on a smooth function."""
    tried = {}
    for sampler in ("random", "tpe"):
        folder = tmp_path / sampler
        folder.mkdir()
        course = drive(folder, Engine())
        course.search(search_of(folder, LR, sampler, trials=60))
        values = [trial.value for trial in trials_in(folder)]
        tried[sampler] = sum(values[30:]) / 30
    assert tried["tpe"] < 0.6 * tried["random"]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_search_that_was_stopped_goes_on(most, tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = drive(tmp_path / "whole", Engine())
    assert whole.search(search_of(tmp_path / "whole", LR, trials=14))
    folder, first, second = tmp_path / "broken", Engine(most=most), Engine()
    assert not drive(folder, first).search(search_of(folder, LR, trials=14))
    rest = drive(folder, second)
    mine = search_of(folder, LR, trials=14)
    assert rest.search(mine)
    assert first.steps + second.steps == 14 * STEPS
    assert ledger.read(folder).keys() == whole.rows.keys()
    assert {trial.state.name for trial in trials_in(folder)} == {"COMPLETE"}
    best = min(trials_in(folder), key=lambda trial: trial.value)
    assert best.value == min(quality(run, STEPS) for run in mine.runs())


def results_of(folder):
    """The state, value and parameters of each trial."""
    return [(t.state, t.value, t.params) for t in trials_in(folder)]


@pytest.mark.parametrize("told", [1, 8, 13])
def test_a_bracket_that_was_told_in_part_ends_in_the_same_rows(told, tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = drive(tmp_path / "whole", Engine(), Halving(3, 3))
    assert whole.search(search_of(tmp_path / "whole", LR, trials=27))
    folder, first, second = tmp_path / "broken", Engine(), Engine()
    mine = search_of(folder, LR, trials=27)
    tell, left = mine.tell, iter(range(told))

    def tell_some(number, rows):
        next(left)
        tell(number, rows)

    mine.tell = tell_some
    with pytest.raises(StopIteration):  # as a process that is killed
        drive(folder, first, Halving(3, 3)).search(mine)
    rest = drive(folder, second, Halving(3, 3))
    assert rest.search(search_of(folder, LR, trials=27))
    assert ledger.read(folder) == whole.rows
    assert results_of(folder) == results_of(tmp_path / "whole")
    assert first.steps + second.steps == 3 * (9 * 30 + 3 * 60 + 1 * 180)


def test_more_trials_fill_up_the_last_bracket(tmp_path):
    """With what was its best by then; that is not told again."""
    assert drive(tmp_path, Engine(), Halving(3, 3)).search(
        search_of(tmp_path, LR, trials=11)
    )
    before, engine = results_of(tmp_path), Engine()
    assert drive(tmp_path, engine, Halving(3, 3)).search(
        search_of(tmp_path, LR, trials=18)
    )
    assert results_of(tmp_path)[:11] == before
    ends = [wave.end for wave in engine.waves for _ in wave.runs]
    assert ends.count(30) == 7
    assert ends.count(270) <= 1


@pytest.mark.parametrize("text", [f"{LR},beta1:0.0|0.5", "beta1:0.0|0.5"])
def test_a_storage_of_another_sweep_is_refused(text, tmp_path):
    search_of(tmp_path, LR).ask(1)
    drive(tmp_path, Engine()).search(search_of(tmp_path, LR, trials=1))
    with pytest.raises(UserError, match="is of another sweep, with other values of"):
        search_of(tmp_path, text)


def test_a_list_of_other_values_is_refused(tmp_path):
    search_of(tmp_path, "beta1:0.0|0.5").ask(1)
    with pytest.raises(UserError, match="other values of beta1"):
        search_of(tmp_path, "beta1:0.0|0.9").ask(1)


@pytest.mark.parametrize("text", ["1e-4..1e-1:log", "1e-3..1e-2:log", "1e-4|1e-2"])
def test_an_interval_of_other_bounds_is_refused(text, tmp_path):
    search_of(tmp_path, LR).ask(1)
    with pytest.raises(UserError, match="other values of generator_lr"):
        search_of(tmp_path, f"generator_lr:{text}").ask(1)


def test_a_trial_of_which_nothing_was_drawn_yet_is_drawn(tmp_path):
    mine = search_of(tmp_path, LR)
    mine._study.ask()  # and then the process was killed
    assert mine.runs() == []
    [(number, [run])] = search_of(tmp_path, LR).ask(1)
    assert number == 0
    assert 1e-4 <= run.recipe.generator_lr <= 1e-2


def test_a_storage_of_another_folder_is_refused(tmp_path):
    course = drive(tmp_path, Engine())
    mine = search_of(tmp_path, LR)
    course.search(mine)
    mine.require_rows(course.rows.keys(), course.key)
    with pytest.raises(UserError, match="use the same seeds and version, or another"):
        mine.require_rows([*course.rows][1:], course.key)


@pytest.mark.parametrize(
    ("text", "sampler", "message"),
    [
        ("seed:0..3", "random", "seeds alone"),
        (LR, "grid", r"generator_lr is an interval.*generator_lr:1e-4..1e-2:log:5"),
    ],
)
def test_what_makes_no_sense_is_refused(text, sampler, message):
    with pytest.raises(UserError, match=message):
        search.check(sweep.parse(text), sampler)
