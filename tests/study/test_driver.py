"""What a study trains next: rungs, what is missing, what Optuna asks for."""

import collections
import math

import pytest

from gan_jax import data
from gan_jax.study import driver, ledger, sweep, waves
from gan_jax.study.engines import Result
from gan_jax.study.halving import Halving

IMAGES = data.Description("garments", (28, 28, 1), 10, 64)
STEPS = 270


def quality(run, steps):
    """Falls with the steps to what the learning rate gives: 3e-3 is the best."""
    away = abs(math.log(run.recipe.generator_lr / 3e-3))
    return 10 * away + 100 / steps + 0.1 * run.seed


class Engine:
    """Measures without training; ends before a wave if told so."""

    images, device = IMAGES, "none"

    def __init__(self, quality=quality, most=math.inf):
        self.waves, self._quality, self._most = [], quality, most

    def save_in(self, folder):
        self.folder = folder

    def run(self, waves):
        for wave in waves:
            if len(self.waves) >= self._most:
                return
            self.waves.append(wave)
            values = [self._quality(run, wave.end) for run in wave.runs]
            measures = [
                {"fcd": value, "fcd_train": value, **OTHERS} for value in values
            ]
            yield Result(wave, 1.0, measures, [None] * len(values))

    @property
    def steps(self):
        """Of all the GANs that were trained."""
        return sum(len(w.runs) * (w.end - w.begin) for w in self.waves)


OTHERS = {"classes": 10, "variety": 1.0, "collapsed": False}


def plan(width=4):
    return waves.Plan(IMAGES, 1, STEPS, width, 1, 500)


def runs_of(text, losses=("nonsaturating",)):
    return sweep.expand(losses, "published", sweep.parse(f"batch_size:8,{text}"))


def drive(folder, engine, halving=Halving(rungs=1), width=4, keep=lambda *_: None):  # noqa: B008
    return driver.Driver(engine, plan(width), folder, keep, halving)


GRID = runs_of("generator_lr:1e-4..1e-2:log:27")


def test_all_are_trained_without_rungs(tmp_path):
    engine = Engine()
    course = drive(tmp_path, engine)
    assert course.train(GRID)
    assert [len(wave.runs) for wave in engine.waves] == [4] * 6 + [3]
    assert engine.steps == 27 * STEPS
    assert list(ledger.read(tmp_path)) == [course.key(run) for run in GRID]
    assert not any(map(ledger.is_stopped, course.rows.values()))


def test_rungs_find_the_best_in_a_ninth_of_the_steps(tmp_path):
    engine = Engine()
    course = drive(tmp_path, engine, Halving(3, 4))
    assert course.train(GRID)
    ends = collections.Counter()
    for wave in engine.waves:
        ends[wave.begin, wave.end] += len(wave.runs)
    assert ends == {(0, 10): 27, (10, 30): 9, (30, 90): 3, (90, 270): 1}
    assert engine.steps == 3 * STEPS
    rows = [course.rows[course.key(run)] for run in GRID]
    assert [row["steps"] for row in rows].count(STEPS) == 1
    best = min(GRID, key=lambda run: quality(run, STEPS))
    [finished] = [row for row in rows if not ledger.is_stopped(row)]
    assert finished["swept"] == best.swept
    assert [past["steps"] for past in finished["rungs"]] == [10, 30, 90, 270]
    assert finished["seconds"] == 4.0


def test_those_who_go_on_are_packed_into_full_waves(tmp_path):
    engine = Engine()
    drive(tmp_path, engine, Halving(3, 4)).train(GRID)
    sizes = [[len(w.runs) for w in engine.waves if w.begin == b] for b in (0, 10, 30)]
    assert sizes == [[4] * 6 + [3], [4, 4, 1], [3]]
    widths = [w.plan.width for w in engine.waves]
    assert widths == [4] * 7 + [4] * 3 + [3] + [1]


def test_all_seeds_of_a_configuration_go_on_or_none(tmp_path):
    engine = Engine()
    course = drive(tmp_path, engine, Halving(3, 2))
    course.train(runs_of("generator_lr:1e-4..1e-2:log:6,seed:0..2"))
    finished = collections.Counter(
        row["swept"]["generator_lr"]
        for row in course.rows.values()
        if not ledger.is_stopped(row)
    )
    assert sorted(finished.values()) == [3, 3]


def test_every_loss_has_its_own_best(tmp_path):
    engine = Engine(lambda run, steps: quality(run, steps) + 50 * len(run.recipe.loss))
    course = drive(tmp_path, engine, Halving(3, 2))
    course.train(runs_of("generator_lr:1e-4..1e-2:log:6", ("hinge", "nonsaturating")))
    finished = collections.Counter(
        row["loss"] for row in course.rows.values() if not ledger.is_stopped(row)
    )
    assert finished == {"hinge": 2, "nonsaturating": 2}


@pytest.mark.parametrize("most", range(12))
def test_a_study_that_was_stopped_anywhere_ends_in_the_same_rows(most, tmp_path):
    whole = drive(tmp_path / "whole", Engine(), Halving(3, 4))
    (tmp_path / "whole").mkdir()
    assert whole.train(GRID)
    first, second = Engine(most=most), Engine()
    assert not drive(tmp_path, first, Halving(3, 4)).train(GRID)
    rest = drive(tmp_path, second, Halving(3, 4))
    assert rest.train(GRID)
    assert first.steps + second.steps == 3 * STEPS
    assert rest.rows == whole.rows
    assert ledger.read(tmp_path) == whole.rows


def test_a_larger_sweep_trains_what_is_new(tmp_path):
    few = runs_of("generator_lr:1e-3|1e-2,seed:0..1")
    more = runs_of("generator_lr:1e-3|1e-2,seed:0..3")
    drive(tmp_path, Engine()).train(few)
    engine = Engine()
    assert drive(tmp_path, engine).train(more)
    assert sorted(run.seed for wave in engine.waves for run in wave.runs) == [
        2,
        2,
        3,
        3,
    ]


def test_one_without_a_distance_never_goes_on(tmp_path):
    def lost(run, steps):
        return None if run.recipe.generator_lr > 2e-3 else quality(run, steps)

    course = drive(tmp_path, Engine(lost), Halving(3, 4))
    assert course.train(GRID)
    [finished] = [r for r in course.rows.values() if not ledger.is_stopped(r)]
    assert finished["swept"]["generator_lr"] < 2e-3


def test_each_row_is_handed_on_as_it_is_measured(tmp_path):
    kept = []
    course = drive(
        tmp_path, Engine(), Halving(3, 2), keep=lambda row, _: kept.append(row["steps"])
    )
    course.train(GRID)
    assert kept == [90] * 27 + [270] * 9
