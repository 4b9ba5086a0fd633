"""The host's side of training: chunks of compiled steps, and a run folder.

Between two chunks the host logs, draws samples and saves; what is computed does not
depend on when it does so.
"""

import contextlib
import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import parallel, plots, recipes, runs, training
from gan_jax.data import Dataset
from gan_jax.errors import UserError

_GRID = 100  # samples in a grid, ten a row


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How often a run writes, in generator steps.

    Attributes:
      log_every: between lines of metrics.jsonl; a line stands at every other stop
        and at the end of an epoch, too, and averages the steps since the one before.
      sample_every: between sample grids.
      checkpoint_every: between checkpoints; the last state is always saved.
      evaluate_every: between measurements of the samples, None for none.
    """

    log_every: int = 10
    sample_every: int = 50
    checkpoint_every: int = 500
    evaluate_every: int | None = None

    @property
    def periods(self) -> list[int]:
        """All of them."""
        return [p for p in dataclasses.astuple(self) if p is not None]

    @property
    def longest(self) -> int:
        """The most steps between two stops."""
        return min(self.periods)

    def next_stop(self, step: int, end: int) -> int:
        """The next step at which the host has something to do, at most ``end``.

        Stops are multiples of absolute steps, whatever the step that a run starts at.
        """
        return min(end, *((step // period + 1) * period for period in self.periods))


def train(
    config: runs.Config,
    dataset: Dataset,
    workdir: pathlib.Path,
    *,
    schedule: Schedule | None = None,
    evaluate: Callable[[training.GAN, training.GANState], dict[str, float]]
    | None = None,
    devices: Sequence[jax.Device] | None = None,
    say: Callable[[str], None] = print,
) -> training.GANState:
    """Trains, or continues, the run that a config describes.

    Args:
      config: what to compute.
      dataset: the images; ``config.dataset`` is its name.
      workdir: run folder, already accepted by `runs.prepare`.
      schedule: how often to write.
      evaluate: measures a state's samples every ``schedule.evaluate_every`` steps, if
        that is set, and after the last, for the metrics.
      devices: where to train; all by default.
      say: takes the lines of the report.

    Returns:
      The state after ``config.steps`` steps.

    Raises:
      UserError: devices or data do not fit the batch; a metric is not finite.
    """
    schedule = schedule or Schedule()
    devices = devices or jax.devices()
    gan = recipes.make_gan(config.recipe, axis_name=parallel.AXIS)
    size = len(dataset.images)
    batch_size = config.recipe.batch_size
    per_epoch = training.steps_per_epoch(gan, size, batch_size)
    key = jax.random.key(config.seed)
    state = parallel.initialise(gan, key, dataset.images.shape[1:], devices)
    checkpoints = runs.Checkpoints(workdir)
    if checkpoints.latest() is not None:
        state = checkpoints.restore(state)
    step = int(state.step)
    if step:
        say(f"{workdir} holds the run up to step {step}: going on from there")

    examples = training.Examples(dataset.images, dataset.labels)
    state, examples = parallel.replicate((state, examples), devices)
    started = time.perf_counter()
    train_steps = parallel.compile_train_steps(
        gan,
        state,
        examples,
        devices,
        batch_size=batch_size,
        capacity=min(schedule.longest, per_epoch),
    )
    say(f"compiled in {time.perf_counter() - started:.1f} s")
    permute = jax.jit(partial(training.epoch_permutation, num_examples=size))
    sample = grid_sampler(gan, key)
    (workdir / "samples").mkdir(exist_ok=True)
    plots.save_grid(workdir / "real.png", hundred_real(dataset))
    per_step = batch_size * gan.critic_steps
    reporter = _Reporter(workdir, config.steps, step, per_epoch, per_step)
    epoch, order = None, None
    try:
        while step < config.steps:
            if epoch != step // per_epoch:
                epoch = step // per_epoch
                order = parallel.replicate(permute(state.key, epoch), devices)
            stop = schedule.next_stop(step, min((epoch + 1) * per_epoch, config.steps))
            state, metrics = train_steps(state, examples, order, stop - step)
            reporter.push(stop, stop - step, metrics)
            step, last = stop, stop == config.steps
            every = schedule.evaluate_every
            if evaluate and (last or (every and step % every == 0)):
                jax.block_until_ready(state)
                with reporter.pause():
                    reporter.add(evaluate(gan, state))
            if step % schedule.sample_every == 0 or last:
                path = workdir / "samples" / f"step_{step:06d}.png"
                plots.save_grid(path, np.asarray(sample(state)))
            if step % schedule.checkpoint_every == 0 or last:
                reporter.flush()  # nothing that is not finite is ever saved
                checkpoints.save(step, state)
    finally:
        reporter.close()
        checkpoints.close()
    if lines := runs.read_metrics(workdir):
        plots.save_curves(workdir / "curves.png", lines)
    return state


def grid_sampler(
    gan: training.GAN, key: jax.Array
) -> Callable[[training.GANState], jax.Array]:
    """A function that draws the same hundred images from any state.

    A hundred latents; of a conditional GAN ten, a row each, in the ten classes, a
    column each.

    Returns:
      ``state -> [100, 28, 28, 1]``, uint8.
    """
    # Far from what the state splits off the same key, and from the steps' numbers.
    z_key = jax.random.fold_in(key, 2**32 - 1)
    z = jax.random.normal(z_key, (_GRID, gan.latent_size))
    labels = None
    if gan.num_classes is not None:
        rows = _GRID // gan.num_classes
        z = jnp.repeat(z[:rows], gan.num_classes, axis=0)
        labels = jnp.tile(jnp.arange(gan.num_classes), rows)

    @jax.jit
    def sample(state: training.GANState) -> jax.Array:
        return training.to_uint8(training.generate(gan, state, z, labels))

    return sample


def hundred_real(dataset: Dataset) -> np.ndarray:
    """Ten images of each class, a class a column as far as there are enough."""
    columns = [np.flatnonzero(dataset.labels == c)[:10] for c in range(10)]
    if min(map(len, columns)) < 10:
        return dataset.images[:_GRID]
    return dataset.images[np.stack(columns, axis=1).ravel()]


class _Reporter:
    """Writes each chunk's metrics while the next chunk is being computed."""

    def __init__(
        self,
        workdir: pathlib.Path,
        steps: int,
        step: int,
        per_epoch: int,
        examples_per_step: int,
    ) -> None:
        from tqdm import tqdm

        self._log = runs.MetricsLog(workdir, step)
        self._bar = tqdm(
            total=steps,
            initial=step,
            unit="step",
            file=sys.stderr,
            disable=not sys.stderr.isatty(),
        )
        self._per_epoch = per_epoch
        self._examples = examples_per_step
        self._pending: tuple[int, int, Any] | None = None
        self._extra: dict[str, float] = {}
        self._lap = time.perf_counter()
        self._seconds = self._log.seconds  # of training, earlier sittings included

    def push(self, step: int, count: int, metrics: training.Metrics) -> None:
        """Takes the metrics of the ``count`` steps up to ``step``."""
        self.flush()
        self._pending = (step, count, metrics)

    def add(self, values: dict[str, float]) -> None:
        """Takes values that belong to the step of the last `push`."""
        self._extra = values

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """What is done meanwhile does not count as training time."""
        started = time.perf_counter()
        yield
        self._lap += time.perf_counter() - started

    def flush(self) -> None:
        """Writes what is pending.

        Raises:
          UserError: a metric is NaN or infinite.
        """
        if self._pending is None:
            return
        step, count, metrics = self._pending
        self._pending = None
        values = {
            name: np.asarray(value)[:count] for name, value in sorted(metrics.items())
        }
        now = time.perf_counter()
        lap, self._lap = now - self._lap, now
        self._seconds += lap
        _refuse_non_finite(step, values)
        line = {
            "step": step,
            "epoch": round(step / self._per_epoch, 4),
            "seconds": round(self._seconds, 3),
            "images_per_second": round(count * self._examples / lap, 1),
        } | {name: float(value.mean()) for name, value in values.items()}
        line |= self._extra
        self._extra = {}
        self._log.write(line)
        self._bar.update(count)
        self._bar.set_postfix_str(
            f"d_loss {line['d_loss']:.3f}, g_loss {line['g_loss']:.3f},"
            f" {line['images_per_second']:.0f} images/s"
        )

    def close(self) -> None:
        """Ends the bar and the log; what is pending was never asked for."""
        self._bar.close()
        self._log.close()


def _refuse_non_finite(step: int, values: dict[str, np.ndarray]) -> None:
    for name, value in values.items():
        if not np.isfinite(value).all():
            first = step - len(value) + 1 + int(np.argmin(np.isfinite(value)))
            raise UserError(
                f"{name} is {value[~np.isfinite(value)][0]} at step {first}: stopped;"
                " try a lower --generator_lr and --discriminator_lr"
            )
