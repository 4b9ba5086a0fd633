"""What a run writes while it is trained: metrics, pictures, checkpoints."""

import collections
import concurrent.futures
import contextlib
import pathlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import jax
import numpy as np

from gan_jax import plots, training
from gan_jax.data import Dataset
from gan_jax.devices import placement
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, finite
from gan_jax.run.metrics_log import MetricsLog, read_metrics
from gan_jax.run.sample_grids import ROWS, grid_sampler, hundred_real
from gan_jax.run.schedule import Schedule
from gan_jax.run.tracking.trackers import Trackers
from gan_jax.system import files, progress

Evaluate = Callable[[training.GAN, training.GANState], dict[str, float]]

_WAITING = 3  # chunks that are not yet written; each holds a grid, or a state


class Recorder:
    """Writes a run folder in a thread, while the next chunks are being computed.

    A context manager: what is under way when the run ends, or fails, is finished.

    Attributes:
      last: the last line of metrics that was written.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        gan: training.GAN,
        config: configuration.Config,
        dataset: Dataset,
        schedule: Schedule,
        evaluate: Evaluate | None,
        about: dict[str, Any],
        step: int,
        trackers: Trackers,
    ) -> None:
        """Opens the files of a run that goes on after ``step``.

        Args:
          workdir: run folder.
          gan: what is trained.
          config: of the run.
          dataset: that it is trained on.
          schedule: when to write.
          evaluate: as in `loop.train`.
          about: what is saved beside each checkpoint.
          step: the last that was taken already.
          trackers: are given the metrics and the samples as well.

        Raises:
          UserError: a file cannot be written.
        """
        self._workdir = workdir
        self._gan, self._steps = gan, config.steps
        self._schedule, self._trackers = schedule, trackers
        self._evaluate, self._skip = evaluate, config.recipe.on_nan == "skip"
        batch_size, size = config.recipe.batch_size, len(dataset.images)
        self._per_epoch = training.steps_per_epoch(gan, size, batch_size)
        self._examples = batch_size * gan.critic_steps
        self._watched: list[str] = []
        self.last: dict[str, Any] = {}
        self._sample = grid_sampler(gan, jax.random.key(config.seed))
        with files.writing(workdir / "samples"):
            (workdir / "samples").mkdir(exist_ok=True)
        with files.whole_file(workdir / "real.png") as file:
            plots.save_grid(file, *hundred_real(dataset))
        keep = schedule.keep_checkpoints
        self._checkpoints = checkpoints.Writer(workdir, about, keep=keep)
        self._log = MetricsLog(workdir, step)
        self._saved = step if step else None
        self._seconds = self._log.seconds  # of training, earlier processes included
        self._bar = progress.bar(
            None, config.steps, unit="step", initial=step, delay=0, leave=True
        )
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "recorder")
        self._jobs: collections.deque[concurrent.futures.Future] = collections.deque()
        self._failed: BaseException | None = None  # the first error of the background

    def __enter__(self) -> Self:
        """The clock of training begins."""
        self.start()
        return self

    def start(self) -> None:
        """The clock of training begins anew, and that of the bar."""
        self._lap = time.perf_counter()
        self._bar.unpause()

    def __exit__(self, kind: type | None, error: Any, trace: Any) -> None:
        """Ends the bar, and waits for all that is being written.

        Raises:
          UserError: a file cannot be written; or, in place of one that was raised
            before, the same with the last good checkpoint.
        """
        self._thread.shutdown()
        self._bar.close()
        for close in (self._check, self._checkpoints.close):
            try:
                close()
            except Exception as failed:
                error = error or failed
        if isinstance(error, UserError):
            last = checkpoints.newest(self._workdir)
            good = f"is of step {last}" if last else "was not reached"
            raise UserError(f"{error}; the last good checkpoint {good}") from error
        if error is not None and kind is None:
            raise error

    def after(
        self,
        step: int,
        count: int,
        metrics: training.Metrics,
        state: training.GANState,
    ) -> None:
        """Takes the metrics of ``count`` steps and the state that they end in.

        The state may be donated afterwards. Waits for the devices only where the state
        itself is saved or measured.

        Raises:
          UserError: of an earlier chunk, a file could not be written; a metric or a
            parameter is NaN or infinite.
        """
        self._check()
        state = placement.local(state)
        watched = finite.watched(state)
        self._watched = self._watched or finite.names(watched)
        skipped = finite.skipped_updates(state) if self._skip else 0
        report = finite.report(placement.local(metrics), watched, skipped)
        last = step == self._steps
        images = saved = None
        if last or step % self._schedule.sample_every == 0:
            images = self._sample(state)
        extra, paused = {}, 0.0
        every = self._schedule.evaluate_every
        if self._evaluate and (last or (every and step % every == 0)):
            jax.block_until_ready(state)
            self.drain()  # else the thread would take this pause for training time
            started = time.perf_counter()
            extra = self._evaluate(self._gan, state)
            paused = time.perf_counter() - started
        if last:
            plots.prepare()  # while the devices compute the last steps
        if last or step % self._schedule.checkpoint_every == 0:
            saved = self._host_copy(step, state)
        names = sorted(metrics)
        lines = partial(self._write_lines, step, count, names, report, extra, paused)
        self._in_thread(lines, partial(self._write_state, step, images, saved))

    def finish(self, step: int, state: training.GANState) -> None:
        """Saves the state, where that is not done, and draws the curves.

        Raises:
          UserError: as `after`.
        """
        if step and step != self._saved:
            saved = self._host_copy(step, placement.local(state))
            self._in_thread(partial(self._write_state, step, None, saved))
        self.drain()
        if lines := read_metrics(self._workdir):
            with files.whole_file(self._workdir / "curves.png") as file:
                plots.save_curves(file, lines)

    def drain(self) -> None:
        """Waits until all that was given is written.

        Raises:
          UserError: as `after`.
        """
        while self._jobs:
            self._jobs.popleft().result()
        self._check()

    def _host_copy(self, step: int, state: training.GANState) -> training.GANState:
        self._saved = step
        return checkpoints.on_host(state)

    def _check(self) -> None:
        """Raises what failed in the background."""
        if self._failed is None:
            try:
                self._checkpoints.check()
            except UserError as error:
                self._failed = error
        if self._failed is not None:
            raise self._failed

    def _in_thread(self, *work: Callable[[], None]) -> None:
        """Has something done after all that came before; nothing after a failure."""

        def job() -> None:
            try:
                for part in work:
                    if self._failed is not None:
                        return
                    part()
            except BaseException as error:  # `_check` raises it where it can be heard
                self._failed = error

        self._jobs.append(self._thread.submit(job))
        while len(self._jobs) > _WAITING:
            self._jobs.popleft().result()

    def _write_state(self, step: int, images: Any, saved: Any) -> None:
        """Writes a grid of samples and a checkpoint, where there are such."""
        if images is not None:
            path = self._workdir / "samples" / f"step_{step:06d}.png"
            with files.whole_file(path) as file:
                images = np.asarray(images)
                plots.save_grid(file, images, len(images) // ROWS)
            self._trackers.image(step, "samples", path)
        if saved is not None:
            self._log.sync()  # no checkpoint is ahead of its metrics
            self._checkpoints.save(step, saved)

    def _write_lines(
        self,
        step: int,
        count: int,
        names: list[str],
        report: jax.Array,
        extra: dict[str, float],
        paused: float,
    ) -> None:
        """Writes the lines of a chunk; waits until the devices have computed it."""
        numbers = np.asarray(report)
        now = time.perf_counter()
        lap, self._lap = now - self._lap - paused, now
        skipped, state_finite = numbers[-1], numbers[-1 - len(self._watched) : -1]
        table = numbers[: -1 - len(self._watched)].reshape(len(names), -1)
        begin = step - count
        lines = []
        try:
            first = begin
            for stop in self._schedule.lines(begin, step):
                part = table[:, first - begin : stop - begin]
                values = dict(zip(names, part, strict=True))
                line = {
                    "step": stop,
                    "epoch": round(stop / self._per_epoch, 4),
                    "seconds": round(self._seconds + lap * (stop - begin) / count, 3),
                    "images_per_second": round(count * self._examples / lap, 1),
                }
                if self._skip:
                    line["skipped_updates"] = int(skipped)
                else:
                    finite.refuse(stop, values)
                if stop == step:
                    finite.refuse_state(step, self._watched, state_finite)
                    values |= {name: np.asarray([v]) for name, v in extra.items()}
                line |= {name: finite.mean(value) for name, value in values.items()}
                lines.append(line)
                first = stop
        finally:
            self._log.write(*lines)
            self._trackers.scalars(lines)
        self._seconds += lap
        self.last = line
        self._bar.update(count)
        self._bar.set_postfix_str(
            ", ".join(f"{name} {line[name] or 0:.3f}" for name in ("d_loss", "g_loss"))
            + f", {line['images_per_second']:.0f} images/s"
        )


class NullRecorder(contextlib.nullcontext):
    """The recorder of a process that has no run folder."""

    def start(self) -> None:
        """Leaves it to the first process."""

    def after(self, *arguments: Any) -> None:
        """Leaves it to the first process."""

    def finish(self, *arguments: Any) -> None:
        """Leaves it to the first process."""
