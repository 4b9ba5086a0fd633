"""The host's side of training: chunks of compiled steps, from any step to the last.

Between two chunks the host may log, draw samples and save (`gan_jax.run.recorder`);
what is computed does not depend on when it does so, nor on how often a run was broken
off.
"""

import contextlib
import dataclasses
import json
import pathlib
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from gan_jax import training
from gan_jax.data import Dataset, stream
from gan_jax.data.dataset import fingerprint
from gan_jax.devices import available, parallel, placement, processes
from gan_jax.run import beginning, configuration, recorder, restoring
from gan_jax.run.schedule import Pace, Schedule, most_steps
from gan_jax.run.tracking.tracker import Run
from gan_jax.run.tracking.trackers import DEFAULT, Trackers
from gan_jax.system import progress

IMAGES_ON = ("device", "host")

# From a state at a step to the step that is named: the state, and each step's metrics.
Advance = Callable[
    [training.GANState, int, int], tuple[training.GANState, training.Metrics]
]
# From a state, its step and the run's last: what trains it, once that is compiled.
Feed = Callable[
    [training.GANState, int, int], contextlib.AbstractContextManager[Advance]
]


def train(
    config: configuration.Config,
    dataset: Dataset,
    workdir: pathlib.Path,
    *,
    schedule: Schedule | None = None,
    evaluate: recorder.Evaluate | None = None,
    devices: Sequence[jax.Device] | None = None,
    images_on: str = "device",
    track: Sequence[str] = DEFAULT,
    start: beginning.Beginning | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = print,
) -> training.GANState:
    """Trains, or continues, the run that a config describes.

    Args:
      config: what to compute.
      dataset: the images; ``config.dataset`` is its name.
      workdir: run folder, already accepted by `run_folder.prepare`; of several
        processes (`processes.connect`), only the first looks at it.
      schedule: how often to write.
      evaluate: measures a state's samples every ``schedule.evaluate_every`` steps, if
        that is set, and after the last, for the metrics.
      devices: where to train; all by default.
      images_on: in `IMAGES_ON`: "device", each device holds all images; "host", it is
        sent those of the next steps. What is computed is the same.
      track: trackers, already accepted by `tracking.trackers.check`, that get the
        metrics, the samples and the settings as well.
      start: weights of another run to begin with, ``config.init_from`` being their sum;
        not looked at where the run goes on.
      should_stop: asked between two chunks, of a line of metrics or a quarter of a
        second; where it says yes, in any process, the run is saved and broken off.
      say: takes the lines of the report.

    Returns:
      The state after ``config.steps`` steps, or after those that were taken when
      ``should_stop`` said yes.

    Raises:
      UserError: devices or data do not fit the batch; a metric or a parameter is not
        finite; a file cannot be written; processes were started with different flags.
    """
    schedule = schedule or Schedule()
    devices = devices or jax.devices()
    say = say if processes.is_first() else lambda line: None
    same = json.dumps([config.flags(), dataclasses.asdict(schedule), images_on])
    processes.require_same(same.encode(), "flags")
    gan = config.make_gan(axis_name=placement.AXIS)
    size = len(dataset.images)
    per_epoch = training.steps_per_epoch(gan, size, config.recipe.batch_size)
    key = jax.random.key(config.seed)
    about = {
        "flags": config.flags(),
        "versions": configuration.versions(),
        "devices": {"count": len(devices), **available.describe(devices[0])},
    }
    like, drawn = parallel.begin(gan, key, dataset.shape, devices)
    saved = None
    if processes.is_first():
        saved = restoring.restore(workdir, like, about, say=say, set_aside=True)
    if jax.process_count() > 1:
        processes.require_same(_images_sum(dataset, images_on), "images")
    started = time.perf_counter()
    capacity = schedule.longest_chunk
    if images_on == "host" or config.recipe.on_nan == "skip":
        capacity = schedule.longest_line  # blocks of images are no longer than needed
    # Each line has the number of updates that were skipped before it.
    most = 0 if config.recipe.on_nan == "skip" else capacity
    begin = resident if images_on == "device" else streamed
    batch_size, capacity = config.recipe.batch_size, min(capacity, per_epoch)
    feed = begin(gan, like, dataset, devices, batch_size=batch_size, capacity=capacity)
    # Python has these to do while XLA compiles.
    begun = saved or drawn.result()
    if saved is None and processes.is_first():
        begun = beginning.begin(begun, config.init_from, start)
    begun = processes.from_first(begun)
    step = int(begun.step)
    if step:
        on = "going on from there" if step < config.steps else "nothing is left"
        say(f"{workdir} holds the run up to step {step}: {on}")
    state = placement.replicate(begun, devices)
    del like, drawn, saved, start, begun  # else they stay in memory while it is trained
    record, trackers = recorder.NullRecorder(), contextlib.nullcontext()
    if processes.is_first():
        trackers = Trackers(track, Run.of(workdir, config, step), say)
        record = recorder.Recorder(
            *(workdir, gan, config, dataset, schedule, evaluate, about, step),
            trackers,
        )
    with trackers, record, feed(state, step, config.steps) as advance:
        say(f"compiled in {time.perf_counter() - started:.1f} s")
        record.start()
        chunks = Chunks(schedule, per_epoch, most, devices)
        state, step = chunks.take(
            advance, record, state, step, config.steps, should_stop
        )
        record.finish(step, state)
    return state


class Chunks:
    """Many steps, as chunks that are as long as they may be."""

    def __init__(
        self,
        schedule: Schedule,
        per_epoch: int,
        most: int,
        devices: Sequence[jax.Device],
    ) -> None:
        """Prepares to take steps.

        Args:
          schedule: when the run writes.
          per_epoch: steps of an epoch.
          most: steps of a chunk, but for one that is a single line of metrics.
          devices: of all processes.
        """
        self._most = most
        self._schedule, self._per_epoch = schedule, per_epoch
        self._agreement = processes.Agreement(devices)
        self._pace = Pace()

    def take(
        self,
        advance: Advance,
        record: recorder.Recorder | recorder.NullRecorder,
        state: training.GANState,
        step: int,
        last: int,
        should_stop: Callable[[], bool],
    ) -> tuple[training.GANState, int]:
        """Takes the steps from one to another, or until it is told to stop.

        Returns:
          The state, and its step.
        """
        while step < last:
            stopping, seconds = self._agreement.ask(should_stop(), self._pace.seconds)
            if stopping:
                break
            most = min(most_steps(seconds), self._most)
            end = min((step // self._per_epoch + 1) * self._per_epoch, last)
            stop = self._schedule.next_stop(step, end, most)
            state, metrics = advance(state, step, stop)
            record.after(stop, stop - step, metrics, state)
            self._pace.dispatched(stop - step, metrics)
            step = stop
        return state, step


def resident(
    gan: training.GAN,
    like: training.GANState,
    dataset: Dataset,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> Feed:
    """Training with all images on each device; begins to compile it.

    Args:
      gan: what to train.
      like: of `parallel.begin`.
      dataset: the images.
      devices: where to train.
      batch_size: of the global batch.
      capacity: the most steps of a chunk.
    """
    examples = training.Examples(np.asarray(dataset.images), dataset.labels)
    size = len(examples.images)
    per_epoch = training.steps_per_epoch(gan, size, batch_size)
    examples = placement.replicate(examples, devices)
    compiling = parallel.compile_train_steps(
        gan, like, examples, devices, batch_size=batch_size, capacity=capacity
    )

    @contextlib.contextmanager
    def feed(state: training.GANState, step: int, last: int) -> Iterator[Advance]:
        del last
        permute = _permutations(state, size)
        order = lru_cache(1)(lambda epoch: placement.replicate(permute(epoch), devices))
        order(step // per_epoch)
        with progress.clock("compiling"):
            train_steps = compiling.result()
        yield lambda state, step, stop: train_steps(
            state, examples, order(step // per_epoch), stop - step
        )

    return feed


def streamed(
    gan: training.GAN,
    like: training.GANState,
    dataset: Dataset,
    devices: Sequence[jax.Device],
    *,
    batch_size: int,
    capacity: int,
) -> Feed:
    """Training with the images of the next steps alone, each on its own device.

    Args: as `resident`.
    """
    del like
    local_batch = available.local_batch_size(batch_size, len(devices))

    def on_devices(block: tuple[np.ndarray, np.ndarray | None]) -> Any:
        return placement.scatter(training.Examples(*block), devices)

    @contextlib.contextmanager
    def feed(state: training.GANState, step: int, last: int) -> Iterator[Advance]:
        with stream.Blocks(
            dataset.images,
            None if gan.num_classes is None else dataset.labels,
            _permutations(state, len(dataset.images)),
            batch=(gan.critic_steps, len(devices), local_batch),
            mine=placement.local_positions(devices),
            steps=(step, last),
            capacity=capacity,
        ) as blocks:
            train_steps = parallel.compile_block_steps(
                gan,
                state,
                on_devices(blocks.empty()),
                devices,
                batch_size=batch_size,
                capacity=capacity,
            )
            yield lambda state, step, stop: train_steps(
                state, on_devices(blocks.take(stop - step)), step, stop - step
            )

    return feed


def _permutations(state: training.GANState, size: int) -> Callable[[int], jax.Array]:
    """The order of the examples in an epoch, as a function of its number."""
    permute = jax.jit(partial(training.epoch_permutation, num_examples=size))
    # A copy: the state's own key is donated.
    key = np.array(jax.random.key_data(placement.local(state.key)))
    key = jax.random.wrap_key_data(key)
    return lambda epoch: permute(key, epoch)


def _images_sum(dataset: Dataset, images_on: str) -> bytes:
    """A sum of the images; of those that stay on the host, most are not read."""
    if images_on == "host":
        return fingerprint(dataset.images, None)
    return f"{zlib.crc32(np.asarray(dataset.images))}".encode()
