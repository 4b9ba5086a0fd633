"""What a run writes while it is trained: metrics, pictures, checkpoints."""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import plots, training
from gan_jax.data import Dataset
from gan_jax.devices import placement
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, finite
from gan_jax.run.metrics_log import MetricsLog, read_metrics
from gan_jax.system import files, progress

Evaluate = Callable[[training.GAN, training.GANState], dict[str, float]]

_ROWS, _COLUMNS = 10, 10  # of a grid of samples
_LONGEST = 50  # steps between two stops: a signal is not to wait for more


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often a run writes, in generator steps.

    Attributes:
      log_every: between lines of metrics.jsonl; a line stands at every other stop,
        every 50 steps and at the end of an epoch, too, and averages the steps since
        the one before.
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
    def periods(self) -> list[int]:
        """Steps between stops of each kind."""
        periods = (self.log_every, self.sample_every, self.checkpoint_every)
        return [*periods, self.evaluate_every or _LONGEST, _LONGEST]

    @property
    def longest(self) -> int:
        """The most steps between two stops."""
        return min(self.periods)

    def next_stop(self, step: int, end: int) -> int:
        """The next step at which the host has something to do, at most ``end``.

        Stops are multiples of absolute steps, whatever the step that a run starts at.
        """
        return min(end, *((step // period + 1) * period for period in self.periods))


class Recorder:
    """Writes a run folder, each chunk's metrics while the next is being computed.

    A context manager: what is under way when the run ends, or fails, is finished.
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

        Raises:
          UserError: a file cannot be written.
        """
        self._workdir = workdir
        self._gan = gan
        self._steps = config.steps
        self._schedule = schedule
        self._evaluate = evaluate
        self._skip = config.recipe.on_nan == "skip"
        batch_size = config.recipe.batch_size
        size = len(dataset.images)
        self._per_epoch = training.steps_per_epoch(gan, size, batch_size)
        self._examples = batch_size * gan.critic_steps
        self._pending: tuple[Any, ...] | None = None
        self._extra: dict[str, float] = {}
        self._watched: list[str] = []
        self._sample = grid_sampler(gan, jax.random.key(config.seed))
        with files.writing(workdir / "samples"):
            (workdir / "samples").mkdir(exist_ok=True)
        with files.whole_file(workdir / "real.png") as file:
            plots.save_grid(file, *hundred_real(dataset))
        keep = schedule.keep_checkpoints
        self._checkpoints = checkpoints.Writer(workdir, about, keep=keep)
        self._log = MetricsLog(workdir, step)
        self._saved = step if step else None
        self._lap = time.perf_counter()
        self._seconds = self._log.seconds  # of training, earlier processes included
        self._bar = progress.bar(
            None, config.steps, unit="step", initial=step, delay=0, leave=True
        )

    def __enter__(self) -> Self:
        """Nothing is left to open."""
        return self

    def __exit__(self, kind: type | None, error: Any, trace: Any) -> None:
        """Ends the bar, waits for the last checkpoint, closes the log.

        Raises:
          UserError: a file cannot be written; or, in place of one that was raised
            before, the same with the last good checkpoint.
        """
        self._bar.close()
        for close in (self._checkpoints.close, self._log.close):
            try:
                close()
            except UserError as failed:
                error = error or failed
        if isinstance(error, UserError):
            last = checkpoints.newest(self._workdir)
            good = f"is of step {last}" if last else "was not reached"
            raise UserError(f"{error}; the last good checkpoint {good}") from error

    def after(
        self,
        step: int,
        count: int,
        metrics: training.Metrics,
        state: training.GANState,
    ) -> None:
        """Takes the metrics of ``count`` steps and the state that they end in.

        The state may be donated afterwards.

        Raises:
          UserError: a file cannot be written; of an earlier chunk, a metric or a
            parameter is NaN or infinite.
        """
        self._flush()
        state = placement.local(state)
        watched = finite.watched(state)
        self._watched = self._watched or finite.names(watched)
        skipped = finite.skipped_updates(state) if self._skip else None
        self._pending = (step, count, metrics, finite.all_finite(watched), skipped)
        last = step == self._steps
        every = self._schedule.evaluate_every
        if self._evaluate and (last or (every and step % every == 0)):
            jax.block_until_ready(state)
            with self._pause():
                self._extra = self._evaluate(self._gan, state)
        if step % self._schedule.sample_every == 0 or last:
            path = self._workdir / "samples" / f"step_{step:06d}.png"
            with files.whole_file(path) as file:
                images = np.asarray(self._sample(state))
                plots.save_grid(file, images, len(images) // _ROWS)
        if step % self._schedule.checkpoint_every == 0 or last:
            self._save(step, state)
        self._checkpoints.check()

    def finish(self, step: int, state: training.GANState) -> None:
        """Saves the state, where that is not done, and draws the curves.

        Raises:
          UserError: as `after`.
        """
        if step and step != self._saved:
            self._save(step, placement.local(state))
        if lines := read_metrics(self._workdir):
            with files.whole_file(self._workdir / "curves.png") as file:
                plots.save_curves(file, lines)

    def _save(self, step: int, state: training.GANState) -> None:
        self._flush()
        self._log.sync()  # no checkpoint is ahead of its metrics
        self._checkpoints.save(step, state)
        self._saved = step

    @contextlib.contextmanager
    def _pause(self) -> Iterator[None]:
        """What is done meanwhile does not count as training time."""
        started = time.perf_counter()
        yield
        self._lap += time.perf_counter() - started

    def _flush(self) -> None:
        """Writes what is pending."""
        if self._pending is None:
            return
        step, count, metrics, state_finite, skipped = self._pending
        self._pending = None
        values = {
            name: np.asarray(placement.local(value))[:count]
            for name, value in sorted(metrics.items())
        }
        now = time.perf_counter()
        lap, self._lap = now - self._lap, now
        self._seconds += lap
        line = {
            "step": step,
            "epoch": round(step / self._per_epoch, 4),
            "seconds": round(self._seconds, 3),
            "images_per_second": round(count * self._examples / lap, 1),
        }
        if skipped is None:
            finite.refuse(step, values)
        else:
            line["skipped_updates"] = int(skipped)
        finite.refuse_state(step, self._watched, np.asarray(state_finite))
        line |= {name: finite.mean(value) for name, value in values.items()}
        extra = {name: np.asarray([value]) for name, value in self._extra.items()}
        line |= {name: finite.mean(value) for name, value in extra.items()}
        self._extra = {}
        self._log.write(line)
        self._bar.update(count)
        self._bar.set_postfix_str(
            ", ".join(f"{name} {line[name] or 0:.3f}" for name in ("d_loss", "g_loss"))
            + f", {line['images_per_second']:.0f} images/s"
        )


class NullRecorder(contextlib.nullcontext):
    """The recorder of a process that has no run folder."""

    def after(self, *arguments: Any) -> None:
        """Leaves it to the first process."""

    def finish(self, *arguments: Any) -> None:
        """Leaves it to the first process."""


def grid_sampler(
    gan: training.GAN, key: jax.Array
) -> Callable[[training.GANState], jax.Array]:
    """A function that draws the same hundred images from any state.

    A hundred latents; of a conditional GAN ten, a row each, in the first ten classes, a
    column each.

    Returns:
      ``state -> [N, height, width, channels]``, uint8.
    """
    # Far from what the state splits off the same key, and from the steps' numbers.
    z_key = jax.random.fold_in(key, 2**32 - 1)
    z = jax.random.normal(z_key, (_ROWS * _COLUMNS, gan.latent_size))
    labels = None
    if gan.num_classes is not None:
        columns = min(gan.num_classes, _COLUMNS)
        z = jnp.repeat(z[:_ROWS], columns, axis=0)
        labels = jnp.tile(jnp.arange(columns), _ROWS)

    @jax.jit
    def sample(state: training.GANState) -> jax.Array:
        return training.to_uint8(training.generate(gan, state, z, labels))

    return sample


def hundred_real(dataset: Dataset) -> tuple[np.ndarray, int]:
    """Ten images of each class, a class a column, where there are enough.

    Returns:
      Images, and how many are a row.
    """
    shown = range(min(dataset.num_classes, _COLUMNS))
    columns = [np.flatnonzero(dataset.labels == c)[:_ROWS] for c in shown]
    if min(map(len, columns), default=0) < _ROWS:
        return dataset.images[: _ROWS * _COLUMNS], _COLUMNS
    return dataset.images[np.stack(columns, axis=1).ravel()], len(columns)
