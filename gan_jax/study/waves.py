"""Many GANs, a program at a time and a wave at a time.

A wave is what fits on the devices at once. While it is trained, its states are saved
in ``wave/checkpoints`` of the study's folder (`gan_jax.run.checkpoints`): one that was
broken off goes on from there.
"""

import contextlib
import dataclasses
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import recipes, training
from gan_jax.data import Dataset
from gan_jax.devices import many, placement
from gan_jax.run import checkpoints, configuration, restoring
from gan_jax.run.schedule import Schedule
from gan_jax.study.sweep import Program, Run
from gan_jax.system import progress
from gan_jax.system.files import write_text, writing
from gan_jax.training import GANState

WAVE = "wave"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How GANs are trained, beside what each of them is.

    Attributes:
      epochs: passes over the data of each.
      steps: generator steps of each instead, or None.
      devices: where to train.
      at_once: GANs side by side on each device.
      checkpoint_every: generator steps between checkpoints of a wave.
    """

    epochs: int
    steps: int | None
    devices: Sequence[jax.Device]
    at_once: int
    checkpoint_every: int

    def fit(self, gans: int) -> "Plan":
        """The same without devices and places that so few GANs would leave empty."""
        devices = self.devices[:gans]
        at_once = min(self.at_once, -(-gans // len(devices)))
        return dataclasses.replace(self, devices=devices, at_once=at_once)

    def config(self, run: Run, dataset: Dataset) -> configuration.Config:
        """The same GAN as `experiments.train` trains it alone."""
        steps = self.steps_of(run.recipe, len(dataset.images))
        return configuration.Config.of(run.recipe, dataset, run.seed, steps)

    def steps_of(self, recipe: recipes.Recipe, num_examples: int) -> int:
        """Generator steps in all.

        Raises:
          UserError: the data set is too small for one.
        """
        per_epoch = training.steps_per_epoch(recipe, num_examples, recipe.batch_size)
        return self.steps or self.epochs * per_epoch


class Wave(NamedTuple):
    """GANs that were trained together.

    Attributes:
      runs: what they are.
      gan: what all of them can be sampled with.
      states: theirs in the same order, and then perhaps more; as `many.spread`.
      seconds: of training, a GAN's share; None where a part was in another process.
    """

    runs: list[Run]
    gan: training.GAN
    states: GANState
    seconds: float | None


def train(
    program: Program,
    dataset: Dataset,
    plan: Plan,
    folder: pathlib.Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = print,
) -> Iterator[Wave]:
    """Trains the GANs of a program, wave by wave.

    Each is the one that `loop.train` gives for its recipe and seed, but for rounding.
    One whose numbers become NaN stops no other.

    Args:
      program: the GANs.
      dataset: the images.
      plan: how long, where, how many at once.
      folder: of the study; for what a wave saves, and goes on from.
      should_stop: asked between two chunks of at most 50 steps; where it says yes, the
        wave is saved and no more come.
      say: takes the lines of the report.

    Yields:
      Waves that are done.

    Raises:
      UserError: devices or data do not fit; a file cannot be written or read.
    """
    trainer = _Trainer(program, dataset, plan, say)
    width = len(plan.devices) * plan.at_once
    for first in range(0, len(program.runs), width):
        members = program.runs[first : first + width]
        wave = trainer.train(members, folder, should_stop)
        if wave is None:
            return
        yield wave
        with writing(folder / WAVE):
            shutil.rmtree(folder / WAVE, ignore_errors=True)


class _Trainer:
    """A program, compiled for its first wave."""

    def __init__(
        self,
        program: Program,
        dataset: Dataset,
        plan: Plan,
        say: Callable[[str], None],
    ) -> None:
        self._program, self._plan, self._say = program, plan, say
        self._batch_size = program.recipe.batch_size
        self._dataset, self._size = dataset, len(dataset.images)
        self._total = plan.steps_of(program.recipe, self._size)
        self._images = {"shape": dataset.shape, "num_classes": dataset.num_classes}
        self._images["steps"] = self._total
        self._gan = recipes.make_gan(program.recipe, **self._images)
        self._per_epoch = training.steps_per_epoch(
            self._gan, self._size, self._batch_size
        )
        examples = training.Examples(np.asarray(dataset.images), dataset.labels)
        self._examples = placement.replicate(examples, plan.devices)
        every = plan.checkpoint_every  # nothing else is written meanwhile
        self._schedule = Schedule(every, every, every)
        self._train_steps: Callable[..., Any] | None = None

    def _make(self, settings: many.Settings) -> training.GAN:
        recipe = dataclasses.replace(self._program.recipe, **settings)
        return recipes.make_gan(recipe, **self._images)

    def train(
        self,
        members: list[Run],
        folder: pathlib.Path,
        should_stop: Callable[[], bool],
    ) -> Wave | None:
        """A wave, from its checkpoint or from the start; None if it was broken off."""
        devices = self._plan.devices
        keys, settings = self._spread(members)
        shape = self._dataset.images.shape[1:]
        states = many.initialise(self._make, settings, keys, shape, devices)
        saved = _Saved(folder, self._about(members), self._say)
        states = saved.restore(states, devices)
        if self._train_steps is None:
            self._train_steps = self._compile(settings, states)
        begin = step = int(states.step[0, 0])
        epoch, order = None, None
        started = time.perf_counter()
        bar = progress.bar("this wave", self._total, unit="step", initial=step)
        with saved, bar:
            while step < self._total:
                if should_stop():
                    saved.save(step, states)
                    return None
                if epoch != step // self._per_epoch:
                    epoch = step // self._per_epoch
                    order = many.orders(
                        states, epoch, num_examples=self._size, devices=devices
                    )
                end = min((epoch + 1) * self._per_epoch, self._total)
                stop = self._schedule.next_line(step, end)
                states, _ = self._train_steps(
                    states, settings, self._examples, order, stop - step
                )
                bar.update(stop - step)
                step = stop
                # Else signals, and checkpoints, would run ahead of what is computed.
                jax.block_until_ready(states)
                if step % self._plan.checkpoint_every == 0 and step < self._total:
                    saved.save(step, states)
        seconds = (time.perf_counter() - started) / len(members)
        return Wave(members, self._gan, states, None if begin else seconds)

    def _spread(self, members: list[Run]) -> tuple[jax.Array, many.Settings]:
        """Keys and numbers; the last wave is filled up with copies of its last GAN."""
        width = len(self._plan.devices) * self._plan.at_once
        filled = members + members[-1:] * (width - len(members))
        keys = jnp.stack([jax.random.key(run.seed) for run in filled])
        numbers = {
            name: np.array([getattr(run.recipe, name) for run in filled], np.float32)
            for name in self._program.names
        }
        return many.spread((keys, numbers), self._plan.devices)

    def _about(self, members: list[Run]) -> dict[str, Any]:
        """What a checkpoint is of: it goes on with nothing else."""
        flags = [self._plan.config(run, self._dataset).flags() for run in members]
        layout = [len(self._plan.devices), self._plan.at_once]
        about = {"runs": flags, "layout": layout, "names": list(self._program.names)}
        return {"flags": about, "versions": configuration.versions()}

    def _compile(self, settings: many.Settings, states: GANState) -> Callable[..., Any]:
        started = time.perf_counter()
        with progress.clock("compiling"):
            compiled = many.compile_train_steps(
                self._make,
                settings,
                states,
                self._examples,
                self._plan.devices,
                batch_size=self._batch_size,
                capacity=min(self._schedule.longest_line, self._per_epoch),
            )
        self._say(f"compiled in {time.perf_counter() - started:.1f} s")
        return compiled


class _Saved(contextlib.AbstractContextManager):
    """The checkpoints of a wave; a folder that appears with the first of them."""

    def __init__(
        self, folder: pathlib.Path, about: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self._folder, self._about, self._say = folder / WAVE, about, say
        self._note = self._folder / "about.json"
        self._writer: checkpoints.Writer | None = None
        self._last = 0  # step that is saved; there is nothing to save of step 0

    def restore(self, states: GANState, devices: Sequence[jax.Device]) -> GANState:
        """The states of the newest checkpoint of these very GANs; else what it got."""
        if not self._folder.exists():
            return states
        try:
            mine = json.loads(self._note.read_text()) == self._about["flags"]
        except (OSError, ValueError):
            mine = False
        if not mine:  # of another study, which this folder no longer is of
            self._say(f"{self._folder} is of other GANs, or of other devices: deleted")
            with writing(self._folder):
                shutil.rmtree(self._folder)
            return states
        found = restoring.restore(
            self._folder,
            states,
            self._about,
            say=self._say,
            set_aside=True,
            finite_only=False,
        )
        if found is None:
            return states
        axis = jax.sharding.PartitionSpec(placement.AXIS)
        self._last = int(found.step[0, 0])
        self._say(f"going on with a wave at step {self._last}")
        return placement.place(found, devices, axis)

    def save(self, step: int, states: GANState) -> None:
        if step == self._last:
            return
        self._last = step
        if self._writer is None:
            with writing(self._folder):
                self._folder.mkdir(exist_ok=True)
            write_text(self._note, json.dumps(self._about["flags"]))
            self._writer = checkpoints.Writer(
                self._folder, self._about, keep=1, finite_only=False
            )
        self._writer.save(step, states)

    def __exit__(self, *exception: Any) -> None:
        if self._writer is not None:
            self._writer.close()
