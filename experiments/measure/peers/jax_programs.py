"""gan_jax as the benchmark measures it: in a loop on the device, or not.

Each program is a function of what to train, the examples and the devices that draws the
initial weights and returns a function that compiles; that one returns what trains.
"""

import atexit
import contextlib
import math
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.measure.peers.worker import (
    NUM_CLASSES,
    Phases,
    RunSteps,
    Spec,
    random_images,
)
from gan_jax import data, recipes, training
from gan_jax.data import Dataset
from gan_jax.devices import available, compilation, many, parallel, placement
from gan_jax.errors import UserError
from gan_jax.recipes import Recipe
from gan_jax.recipes.recipe import PRECISIONS
from gan_jax.run import configuration, recorder
from gan_jax.run import loop as run_loop
from gan_jax.run.schedule import Schedule
from gan_jax.run.tracking import trackers
from gan_jax.run.tracking.tracker import Run
from gan_jax.system import cores
from gan_jax.training import Examples

Compile = Callable[[], RunSteps]
_FOREVER = 2**31 - 1  # steps


def start(spec: Spec, phases: Phases) -> tuple[RunSteps, dict[str, Any]]:
    """A program up to its first step.

    Returns:
      What takes more steps, and what there is to report.
    """
    jax.config.update("jax_num_cpu_devices", spec["num_devices"])
    if spec["compilation_cache"]:
        compilation.keep_programs()
    else:
        jax.config.update("jax_enable_compilation_cache", False)
    devices = available.choose_devices(spec["num_devices"])
    phases.end("import")
    examples = _examples(spec, devices)
    phases.end("data")
    program = many_gans if spec["gans"] > 1 else PROGRAMS[spec["program"]]
    compile_steps = program(Recipe(**spec["recipe"]), spec, examples, devices)
    phases.end("initialise")
    events = set()
    jax.monitoring.register_event_listener(lambda event, **_: events.add(event))
    run_steps = compile_steps()
    phases.end("compile")
    missed = "/jax/compilation_cache/cache_misses" in events
    run_steps(1)
    phases.end("first step")

    def device_memory() -> int | None:
        stats = [device.memory_stats() for device in devices]
        return max(s["peak_bytes_in_use"] for s in stats) if all(stats) else None

    cache = "miss" if missed else "hit"
    return run_steps, {
        "compilation_cache": cache if spec["compilation_cache"] else "off",
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "threads": cores.available(),
        "matmul_precision": PRECISIONS[spec["recipe"]["precision"]].products,
        "device_memory": device_memory,
    }


def _examples(spec: Spec, devices: Sequence[jax.Device]) -> Examples:
    images = _load(spec)
    labels = np.arange(len(images), dtype=np.int32) % NUM_CLASSES
    return jax.block_until_ready(placement.replicate(Examples(images, labels), devices))


def _load(spec: Spec) -> np.ndarray:
    name, size = spec["data"], spec["num_examples"]
    if name == "random":
        return random_images(size, spec["shape"])
    images = data.load(name, data_dir=spec["data_dir"], garments_size=size).images
    if len(images) < size:
        raise UserError(f"--num_examples={size}, and {name} has {len(images)} images")
    return images[:size]


def loop(
    recipe: Recipe, spec: Spec, examples: Examples, devices: Sequence[jax.Device]
) -> Compile:
    """The loop on the device, as experiments.train has it; over several devices."""
    gan = _make_gan(recipe, examples, axis_name=placement.AXIS)
    state, order = _initialise(gan, examples, devices)

    def compile_steps() -> RunSteps:
        train_steps = parallel.compile_train_steps(
            gan,
            state,
            examples,
            devices,
            batch_size=recipe.batch_size,
            capacity=spec["capacity"],
        ).result()

        def run_steps(num_steps: int) -> float:
            nonlocal state
            state, metrics = train_steps(state, examples, order, num_steps)
            return float(metrics["d_loss"].block_until_ready()[num_steps - 1])

        return run_steps

    return compile_steps


def recorded(
    recipe: Recipe, spec: Spec, examples: Examples, devices: Sequence[jax.Device]
) -> Compile:
    """The loop with all that a run writes by default: lines, grids, checkpoints."""
    size = len(examples.images)
    gan = _make_gan(recipe, examples, axis_name=placement.AXIS)
    state, _ = _initialise(gan, examples, devices)
    names = tuple(str(label) for label in range(NUM_CLASSES))
    images, labels = jax.tree.map(np.asarray, (examples.images, examples.labels))
    dataset = Dataset("noise", images, labels, names, "made up")
    schedule = Schedule()
    per_epoch = training.steps_per_epoch(gan, size, recipe.batch_size)
    longest = min(schedule.longest_chunk, per_epoch)
    kept = contextlib.ExitStack()
    atexit.register(kept.close)

    def compile_steps() -> RunSteps:
        feed = run_loop.resident(
            gan,
            state,
            dataset,
            devices,
            batch_size=recipe.batch_size,
            capacity=longest,
        )
        advance = kept.enter_context(feed(state, 0, _FOREVER))
        config = configuration.Config(recipe, "noise", 0, _FOREVER)
        folder = pathlib.Path(kept.enter_context(tempfile.TemporaryDirectory()))
        track = trackers.Trackers(trackers.DEFAULT, Run.of(folder, config, 0))
        record = recorder.Recorder(
            folder, gan, config, dataset, schedule, None, {}, 0, track
        )
        kept.enter_context(track)
        kept.enter_context(record)
        step = 0

        def run_steps(num_steps: int) -> float:
            nonlocal state, step
            # Another each time: what passed since the last does not count as steps.
            chunks = run_loop.Chunks(schedule, per_epoch, longest, devices)
            state, step = chunks.take(
                advance, record, state, step, step + num_steps, lambda: False
            )
            record.drain()
            found = record.last["d_loss"]
            return math.nan if found is None else found

        return run_steps

    return compile_steps


def stepwise(
    recipe: Recipe, spec: Spec, examples: Examples, devices: Sequence[jax.Device]
) -> Compile:
    """The same `training.train_step`, called by the host step after step."""
    del spec
    gan = _make_gan(recipe, examples)
    state, order = _initialise(gan, examples, devices)

    def gather(examples: Examples, order: jax.Array, step: jax.Array) -> Examples:
        shape = (recipe.critic_steps, recipe.batch_size)
        consumed = shape[0] * shape[1]
        start = step % (len(order) // consumed) * consumed
        index = jax.lax.dynamic_slice_in_dim(order, start, consumed).reshape(shape)
        images, labels = jax.tree.map(lambda array: array[index], examples)
        return Examples(training.scale_images(images), labels)

    def take(
        state: training.GANState, batch: Examples
    ) -> tuple[training.GANState, training.Metrics]:
        return training.train_step(gan, state, *batch)

    def compile_steps() -> RunSteps:
        gathers = jax.jit(gather).lower(examples, order, state.step).compile()
        batch = jax.eval_shape(gather, examples, order, state.step)
        takes = jax.jit(take, donate_argnums=0).lower(state, batch).compile()

        def run_steps(num_steps: int) -> float:
            nonlocal state
            for _ in range(num_steps):
                batch = gathers(examples, order, state.step)
                state, metrics = takes(state, batch)
            return float(metrics["d_loss"])

        return run_steps

    return compile_steps


def many_gans(
    recipe: Recipe, spec: Spec, examples: Examples, devices: Sequence[jax.Device]
) -> Compile:
    """The loop on the device, of many GANs side by side that differ in their seed."""
    gan = _make_gan(recipe, examples)
    numbers: many.Settings = {}  # the recipe's own
    keys = many.spread(jax.random.split(jax.random.key(0), spec["gans"]), devices)
    states = many.initialise(
        lambda _: gan, numbers, keys, examples.images.shape[1:], devices
    )
    size = len(examples.images)
    orders = many.orders(states, 0, num_examples=size, devices=devices)
    jax.block_until_ready((states, orders))

    def compile_steps() -> RunSteps:
        train_steps = many.compile_train_steps(
            lambda _: gan,
            numbers,
            states,
            examples,
            devices,
            batch_size=recipe.batch_size,
            capacity=spec["capacity"],
        )

        def run_steps(num_steps: int) -> float:
            nonlocal states
            states, metrics = train_steps(states, numbers, examples, orders, num_steps)
            return float(np.mean(metrics["d_loss"][..., num_steps - 1]))

        return run_steps

    return compile_steps


def _make_gan(recipe: Recipe, examples: Examples, **how: Any) -> training.GAN:
    return recipes.make_gan(recipe, shape=examples.images.shape[1:], **how)


def _initialise(
    gan: training.GAN, examples: Examples, devices: Sequence[jax.Device]
) -> tuple[training.GANState, jax.Array]:
    """The state before step 0, and the first epoch's order, on the devices."""
    shape = examples.images.shape[1:]
    state = parallel.initialise(gan, jax.random.key(0), shape, devices)
    order = training.epoch_permutation(state.key, 0, len(examples.images))
    return jax.block_until_ready((state, placement.replicate(order, devices)))


PROGRAMS = {"gan_jax": loop, "recorded": recorded, "stepwise": stepwise}
