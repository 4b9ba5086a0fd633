"""When a run writes, and how many steps are taken at once in between."""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import jax

_LONGEST_LINE = 50  # steps that a line of metrics.jsonl averages at most
_MOST = 1000  # steps of a chunk
_SECONDS = 0.25  # of a chunk: with one that waits, a signal is heard within twice that


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often a run writes, in generator steps.

    All steps are absolute: what is written does not depend on where a run starts.

    Attributes:
      log_every: between lines of metrics.jsonl; a line stands at every sample grid,
        checkpoint and measurement, every 50 steps and at the end of an epoch, too, and
        averages the steps since the one before.
      sample_every: between sample grids.
      checkpoint_every: between checkpoints; the last state is always saved.
      evaluate_every: between measurements of the samples, None for none.
      keep_checkpoints: how many of the newest are kept.
    """

    log_every: int = 10
    sample_every: int = 50
    checkpoint_every: int = 500
    evaluate_every: int | None = None
    keep_checkpoints: int = 2

    @property
    def _states(self) -> tuple[int, ...]:
        """Steps between those at which the state itself is looked at, of each kind."""
        always = (self.sample_every, self.checkpoint_every)
        return always if self.evaluate_every is None else (*always, self.evaluate_every)

    @property
    def longest_chunk(self) -> int:
        """The most steps of a chunk."""
        return min(*self._states, _MOST)

    @property
    def longest_line(self) -> int:
        """The most steps that a line averages."""
        return min(self.log_every, _LONGEST_LINE, *self._states)

    def next_line(self, step: int, end: int) -> int:
        """The next step with a line of metrics.jsonl, at most ``end``."""
        return _next(step, end, self.log_every, _LONGEST_LINE, *self._states)

    def lines(self, step: int, stop: int) -> Iterator[int]:
        """The steps with a line after ``step``, up to ``stop``, which has one."""
        while step < stop:
            step = self.next_line(step, stop)
            yield step

    def next_stop(self, step: int, end: int, most: int) -> int:
        """The step that the chunk after ``step`` ends with, at most ``end``.

        It has a line, and the state is needed at no step before.

        Args:
          step: how many steps have been taken.
          end: of the epoch, or of the run.
          most: steps to take, if that is no less than to the next line.
        """
        until = _next(step, end, *self._states)
        stop = self.next_line(step, end)
        while stop < until and (line := self.next_line(stop, end)) <= step + most:
            stop = line
        return stop


def _next(step: int, end: int, *periods: int) -> int:
    return min(end, *((step // period + 1) * period for period in periods))


class Pace:
    """Keeps the host at most one chunk ahead of the devices, and measures a step.

    Attributes:
      seconds: of a step of the last chunk that is done, whatever it waited for; 0
        before there is one.
    """

    def __init__(self) -> None:
        """Starts the clock."""
        self.seconds = 0.0
        self._ahead: tuple[int, Any] | None = None
        self._done = time.perf_counter()

    def dispatched(self, steps: int, result: Any) -> None:
        """Takes a chunk that the devices have been given; waits for the one before."""
        before, self._ahead = self._ahead, (steps, result)
        if before is None:
            return
        jax.block_until_ready(before[1])
        now = time.perf_counter()
        self.seconds, self._done = (now - self._done) / before[0], now


def most_steps(seconds: float) -> int:
    """How many steps a chunk may take, of so many seconds each; 0: not yet known."""
    return min(int(_SECONDS / seconds), _MOST) if seconds else 0
