"""When a run writes, and how many steps are taken at once in between."""

import time

import jax
import pytest

from gan_jax.run import schedule
from gan_jax.run.schedule import Pace, Schedule

SCHEDULE = Schedule(log_every=2, sample_every=3, checkpoint_every=4)


def stops(made, step, end, most):
    while step < end:
        before, step = step, made.next_stop(step, end, most)
        assert 0 < step - before <= made.longest_chunk
        yield step


def test_lines_are_at_absolute_steps_wherever_a_run_starts():
    whole = list(SCHEDULE.lines(0, 12))
    assert whole == [2, 3, 4, 6, 8, 9, 10, 12]
    for start in range(12):
        assert list(SCHEDULE.lines(start, 12)) == [n for n in whole if n > start]
    assert list(Schedule(1000, 1000, 1000).lines(90, 170)) == [100, 150, 170]


@pytest.mark.parametrize("most", [0, 1, 25, 60, 999, 5000])
@pytest.mark.parametrize("evaluate_every", [None, 70])
@pytest.mark.parametrize("start", [0, 10, 99, 330])
def test_a_chunk_ends_on_a_line_and_no_later_than_the_state_is_needed(
    start, evaluate_every, most
):
    made = Schedule(20, 110, 330, evaluate_every)
    lines = set(made.lines(0, 1130))
    found = list(stops(made, start, 1130, most))
    assert set(found) <= lines
    needed = [n for p in (110, 330, evaluate_every or 330) for n in range(p, 1130, p)]
    assert {n for n in needed if n > start} <= set(found)
    assert found[-1] == 1130
    for before, after in zip([start, *found], found, strict=False):
        assert after - before <= max(most, made.next_line(before, 1130) - before)
    if most == 0:
        assert found == [n for n in sorted(lines) if n > start]


def test_a_chunk_takes_all_the_steps_that_it_may():
    made = Schedule(log_every=10, sample_every=1000, checkpoint_every=1000)
    assert list(stops(made, 0, 200, 75)) == [70, 140, 200]
    assert list(stops(made, 0, 200, 500)) == [200]
    assert made.longest_chunk == 1000
    assert Schedule(sample_every=10**6, checkpoint_every=10**6).longest_chunk == 1000
    assert (made.longest_line, SCHEDULE.longest_line) == (10, 2)
    assert Schedule(1000, 1000, 1000).longest_line == 50


def test_the_pace_keeps_one_chunk_ahead_and_measures_the_one_before(monkeypatch):
    waited = []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    pace = Pace()
    pace.dispatched(10, "first")
    assert (waited, pace.seconds) == ([], 0)
    now[0] = 102.0
    pace.dispatched(40, "second")
    assert (waited, pace.seconds) == (["first"], 0.2)
    now[0] = 106.0
    pace.dispatched(40, "third")
    assert (waited[1:], pace.seconds) == (["second"], 0.1)


def test_steps_are_as_many_as_take_a_quarter_of_a_second():
    assert schedule.most_steps(0.0) == 0
    assert schedule.most_steps(1.0) == 0
    assert schedule.most_steps(0.1) == 2
    assert schedule.most_steps(1e-9) == 1000
