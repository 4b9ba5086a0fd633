"""Trains waves of GANs; what is under way is saved, and goes on in any process."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import recipes, training
from gan_jax.data import Dataset
from gan_jax.devices import available, many, placement
from gan_jax.run.schedule import Schedule
from gan_jax.study import saved
from gan_jax.study.sweep import Run
from gan_jax.study.waves import Wave
from gan_jax.system import progress
from gan_jax.system.remote import Place
from gan_jax.training import GANState

WAVE = "wave"  # folder of the states of waves under way
RUNG = "rung"  # folder of the states of GANs that may go on


class Trained(NamedTuple):
    """A wave that is done.

    Attributes:
      gan: what all its GANs can be sampled with.
      states: theirs in the same order, and then perhaps more; as `many.spread`.
      seconds: of training, a GAN's share; None where a part was in another process.
    """

    gan: training.GAN
    states: GANState
    seconds: float | None


class Trainer:
    """Trains the waves of one program, compiled for the first of them."""

    def __init__(
        self, wave: Wave, dataset: Dataset, say: Callable[[str], None] = print
    ) -> None:
        """Puts the data set on the devices.

        Args:
          wave: one of those to come.
          dataset: the images.
          say: takes the lines of the report.

        Raises:
          UserError: devices or data do not fit.
        """
        self._recipe, self._names = wave.program.recipe, wave.program.names
        self._plan, self._say = wave.plan, say
        self._devices = available.find_devices()[: wave.plan.num_devices]
        self._size = len(dataset.images)
        self._images = {
            "shape": dataset.shape,
            "num_classes": dataset.num_classes,
            "steps": wave.total,
        }
        self._gan = recipes.make_gan(self._recipe, **self._images)
        self._per_epoch = training.steps_per_epoch(
            self._gan, self._size, self._recipe.batch_size
        )
        examples = training.Examples(np.asarray(dataset.images), dataset.labels)
        self._examples = placement.replicate(examples, self._devices)
        every = self._plan.checkpoint_every  # nothing else is written meanwhile
        self._schedule = Schedule(every, every, every)
        self._initialise: Callable[..., GANState] | None = None
        self._train_steps: Callable[..., Any] | None = None

    def train(
        self,
        wave: Wave,
        folder: "Place | None",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Trained | None:
        """Trains a wave, from what is saved of it or from the start.

        Each GAN is the one that `loop.train` gives for its recipe and seed, but for
        rounding. One whose numbers become NaN stops no other.

        Args:
          wave: of the program and plan that this was made for.
          folder: of the study, for what is saved; None saves nothing.
          should_stop: asked between two chunks of at most 50 steps; where it says yes,
            the wave is saved.

        What was saved of the wave stays, for whoever records that it is done to remove.

        Returns:
          The states after ``wave.end`` steps; where that is not the end of their
          training, each is saved as well. None if the wave was broken off.

        Raises:
          UserError: a file cannot be written.
        """
        keys, settings = self._spread(wave.runs)
        if self._initialise is None:
            shape = self._images["shape"]
            like = (settings, keys, shape, self._devices)
            self._initialise = many.compile_initialise(self._make, *like)
        states = self._initialise(settings, keys)
        about = wave.about()
        place = None if folder is None else _wave_file(folder, about)
        with saved.UnderWay(place, about, self._say) as under_way:
            states = self._restored(wave, folder, about, under_way, states)
            if self._train_steps is None:
                self._train_steps = self._compile(settings, states)
            begin, started = int(states.step[0, 0]), time.perf_counter()
            done = self._loop(wave, states, settings, under_way, should_stop)
            if done is None:
                return None
            seconds = (time.perf_counter() - started) / len(wave.runs)
            if folder is not None and wave.end < wave.total:
                for i, flags in enumerate(about["runs"]):
                    path = member_file(folder, flags)
                    saved.write(path, flags, many.pick(done, i))
        return Trained(self._gan, done, seconds if begin == wave.begin else None)

    def _restored(
        self,
        wave: Wave,
        folder: "Place | None",
        about: saved.About,
        under_way: saved.UnderWay,
        fresh: GANState,
    ) -> GANState:
        """What is saved of the wave, else of each of its GANs; else what it got."""
        if (found := under_way.read(fresh)) is not None:
            axis = jax.sharding.PartitionSpec(placement.AXIS)
            states = placement.place(found, self._devices, axis)
        elif (found := self._read_members(wave, folder, about, fresh)) is not None:
            states = many.spread(found, self._devices)
        else:
            return fresh
        self._say(f"going on with a wave at step {int(states.step[0, 0])}")
        return states

    def _read_members(
        self, wave: Wave, folder: "Place | None", about: saved.About, like: GANState
    ) -> GANState | None:
        """The states of GANs that go on, ``[gans, ...]``; None if one is not there."""
        if folder is None or (wave.begin == 0 and wave.end == wave.total):
            return None
        one = jax.eval_shape(lambda states: many.pick(states, 0), like)
        found = [
            saved.read(member_file(folder, flags), flags, one, self._say)
            for flags in about["runs"]
        ]
        # All at its end: what it had come to was not recorded before the process died.
        steps = {None if state is None else int(state.step) for state in found}
        if steps in ({wave.begin}, {wave.end}):
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *self._fill(found))
        if wave.begin:
            said = f"step {wave.begin} is not there for all of this wave"
            self._say(f"{said}: from the start")
        return None

    def _loop(
        self,
        wave: Wave,
        states: GANState,
        settings: many.Settings,
        under_way: saved.UnderWay,
        should_stop: Callable[[], bool],
    ) -> GANState | None:
        step, epoch, order = int(states.step[0, 0]), None, None
        with progress.bar("this wave", wave.end, unit="step", initial=step) as bar:
            while step < wave.end:
                if should_stop():
                    under_way.save(step, states)
                    return None
                if epoch != step // self._per_epoch:
                    epoch = step // self._per_epoch
                    order = many.orders(
                        states, epoch, num_examples=self._size, devices=self._devices
                    )
                end = min((epoch + 1) * self._per_epoch, wave.end)
                stop = self._schedule.next_line(step, end)
                states, _ = self._train_steps(
                    states, settings, self._examples, order, stop - step
                )
                bar.update(stop - step)
                step = stop
                # Else signals, and checkpoints, would run ahead of what is computed.
                jax.block_until_ready(states)
                if step % self._plan.checkpoint_every == 0 and step < wave.end:
                    under_way.save(step, states)
        return states

    def _make(self, settings: many.Settings) -> training.GAN:
        recipe = dataclasses.replace(self._recipe, **settings)
        return recipes.make_gan(recipe, **self._images)

    def _spread(self, members: list[Run]) -> tuple[jax.Array, many.Settings]:
        """Keys and numbers."""
        filled = self._fill(members)
        keys = jnp.stack([jax.random.key(run.seed) for run in filled])
        numbers = {
            name: np.array([getattr(run.recipe, name) for run in filled], np.float32)
            for name in self._names
        }
        return many.spread((keys, numbers), self._devices)

    def _fill(self, members: list[Any]) -> list[Any]:
        """A whole wave: the last one is filled up with copies of its last GAN."""
        return members + members[-1:] * (self._plan.width - len(members))

    def _compile(self, settings: many.Settings, states: GANState) -> Callable[..., Any]:
        started = time.perf_counter()
        with progress.clock("compiling"):
            compiled = many.compile_train_steps(
                self._make,
                settings,
                states,
                self._examples,
                self._devices,
                batch_size=self._recipe.batch_size,
                capacity=min(self._schedule.longest_line, self._per_epoch),
            )
        self._say(f"compiled in {time.perf_counter() - started:.1f} s")
        return compiled


def wave_file(folder: Place, wave: Wave) -> Place:
    """The file of a wave under way, of a study's folder."""
    return _wave_file(folder, wave.about())


def _wave_file(folder: Place, about: saved.About) -> Place:
    return folder / WAVE / saved.file_name(about)


def member_file(folder: Place, flags: saved.About) -> Place:
    """The file of a GAN that may go on, of a study's folder.

    Args:
      folder: of the study.
      flags: its settings, as `configuration.Config.flags`.
    """
    return folder / RUNG / saved.file_name(flags)
