"""The host's side of training: chunks of compiled steps, from any step to the last.

Between two chunks the host may log, draw samples and save (`gan_jax.recorder`); what
is computed does not depend on when it does so, nor on how often a run was broken off.
"""

import dataclasses
import json
import pathlib
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import jax

from gan_jax import checkpoints, parallel, processes, recipes, recorder, runs, training
from gan_jax.data import Dataset
from gan_jax.recorder import Schedule


def train(
    config: runs.Config,
    dataset: Dataset,
    workdir: pathlib.Path,
    *,
    schedule: Schedule | None = None,
    evaluate: recorder.Evaluate | None = None,
    devices: Sequence[jax.Device] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = print,
) -> training.GANState:
    """Trains, or continues, the run that a config describes.

    Args:
      config: what to compute.
      dataset: the images; ``config.dataset`` is its name.
      workdir: run folder, already accepted by `runs.prepare`; of several processes
        (`processes.connect`), only the first looks at it.
      schedule: how often to write.
      evaluate: measures a state's samples every ``schedule.evaluate_every`` steps, if
        that is set, and after the last, for the metrics.
      devices: where to train; all by default.
      should_stop: asked between two chunks of at most 50 steps; where it says yes, in
        any process, the run is saved and broken off.
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
    same = json.dumps(config.flags()) + json.dumps(dataclasses.asdict(schedule))
    processes.require_same(same.encode(), "flags")
    gan = recipes.make_gan(config.recipe, axis_name=parallel.AXIS)
    size = len(dataset.images)
    batch_size = config.recipe.batch_size
    per_epoch = training.steps_per_epoch(gan, size, batch_size)
    key = jax.random.key(config.seed)
    about = {"flags": config.flags(), "versions": runs.versions()}
    start = parallel.initialise(gan, key, dataset.images.shape[1:], devices)
    start = parallel.local(start)
    if processes.is_first():
        saved = checkpoints.restore(workdir, start, about, say=say, set_aside=True)
        start = saved or start
    start = processes.from_first(start)
    step = int(start.step)
    if step:
        say(f"{workdir} holds the run up to step {step}: going on from there")

    if jax.process_count() > 1:
        processes.require_same(f"{zlib.crc32(dataset.images)}".encode(), "images")
    examples = training.Examples(dataset.images, dataset.labels)
    state, examples = parallel.replicate((start, examples), devices)
    started = time.perf_counter()
    train_steps = parallel.compile_train_steps(
        gan,
        state,
        examples,
        devices,
        batch_size=batch_size,
        capacity=min(schedule.longest, per_epoch),
    )
    agreement = processes.Agreement(devices)
    say(f"compiled in {time.perf_counter() - started:.1f} s")
    permute = jax.jit(partial(training.epoch_permutation, num_examples=size))
    record = recorder.NullRecorder()
    if processes.is_first():
        record = recorder.Recorder(
            workdir, gan, config, dataset, schedule, evaluate, about, step
        )
    epoch, order = None, None
    with record:
        while step < config.steps and not agreement.ask(should_stop()):
            if epoch != step // per_epoch:
                epoch = step // per_epoch
                order = permute(parallel.local(state.key), epoch)
                order = parallel.replicate(order, devices)
            stop = schedule.next_stop(step, min((epoch + 1) * per_epoch, config.steps))
            state, metrics = train_steps(state, examples, order, stop - step)
            record.after(stop, stop - step, metrics, state)
            step = stop
        record.finish(step, state)
    return state
