"""What to train: the flags of `experiments.train`, checked, as one value."""

import dataclasses
import pathlib
from typing import Any, NamedTuple

from experiments.common import cli, data_flags
from experiments.common import train_flags as given
from gan_jax import data, own_code, recipes, training
from gan_jax.errors import UserError
from gan_jax.run import beginning, configuration, loop
from gan_jax.run.tracking import trackers
from gan_jax.system.paths import expand


class Processes(NamedTuple):
    """Several that train together: arguments of `processes.connect`."""

    coordinator: str | None
    num_processes: int | None
    process_id: int | None


class Plan(NamedTuple):
    """What the flags ask for, as far as they alone can say."""

    recipe: recipes.Recipe
    dataset: str
    where: dict[str, Any]
    num_examples: int | None
    seed: int
    steps: int
    workdir: pathlib.Path
    overwrite: bool
    schedule: loop.Schedule
    num_devices: int | None
    processes: Processes | None
    images_on: str
    track: tuple[str, ...]
    init_from: pathlib.Path | None
    init_sum: str | None = None  # of those weights
    start: beginning.Beginning | None = None  # they, where the run has yet to begin

    def load(self) -> data.Dataset:
        """The training images; of one's own, those that are asked for are read later.

        Raises:
          UserError: as `data.load`.
        """
        return data.load(self.dataset, num_examples=self.num_examples, **self.where)

    def config(self, dataset: data.Dataset | str) -> configuration.Config:
        """The run on the data set that is really there, or on a published one."""
        config = configuration.Config.of(
            self.recipe, dataset, self.seed, self.steps, self.num_examples
        )
        return dataclasses.replace(config, init_from=self.init_sum)

    def with_weights(self) -> "Plan":
        """Reads what --init_from names, where the run has yet to begin.

        Raises:
          UserError: as `beginning.find`.
        """
        if self.init_from is None:
            return self
        folders = (self.init_from, self.workdir)
        init_sum, start = beginning.find(*folders, overwrite=self.overwrite)
        return self._replace(init_sum=init_sum, start=start)


def plan(num_devices: int | None = None, own: data.Dataset | None = None) -> Plan:
    """Checks the flags; touches neither a device nor a file but code of one's own.

    Args:
      num_devices: how many will train, of all processes. Until that is known, the batch
        of --batch_size_per_device is that of --num_devices, or of one.
      own: what must be opened to be known, where --dataset is such (`data.about`).
        Until then an epoch of it counts as one step.

    Raises:
      UserError: a flag, or two together, make no sense.
    """
    for flag in given.POSITIVE:
        cli.require_positive(flag)
    cli.require_one(given.EPOCHS, given.STEPS)
    data_flags.check()
    name, num_examples = data_flags.DATASET.value, given.NUM_EXAMPLES.value
    about = data.about(name)
    if own is not None:
        about = data.About(own.shape, own.num_classes, len(own.images))
    if about is not None:
        if num_examples is not None and num_examples > about.size:
            raise UserError(
                f"--num_examples={num_examples} is more than there are: {about.size}"
            )
        num_examples = num_examples or about.size
    recipe = _recipe(num_devices or given.NUM_DEVICES.value or 1)
    cli.require_seed(given.SEED)
    trackers.check(given.TRACK.value, here=False)
    if given.WORKDIR.value == "":
        raise UserError("--workdir is empty: name a folder")
    per_epoch = 1
    if about is None and name == "folder" and not own_code.is_own(recipe.network):
        side = data_flags.IMAGE_SIZE.value
        recipes.make_gan(recipe, shape=(side, side, 3), steps=1)
    if about is not None:
        # Code of one's own starts JAX, which several processes join before that.
        joined = num_devices is not None or not given.DISTRIBUTED.value
        if joined or not recipes.of_ones_own(recipe):
            recipes.try_gan(recipe, about.shape, about.num_classes, num_devices or 1)
        per_epoch = training.steps_per_epoch(recipe, num_examples, recipe.batch_size)
    steps = given.STEPS.value or given.EPOCHS.value * per_epoch
    if steps >= 2**31:
        raise UserError(f"{steps} steps are more than are counted: at most 2^31 - 1")
    schedule = loop.Schedule(
        log_every=given.LOG_EVERY.value,
        sample_every=given.SAMPLE_EVERY.value,
        checkpoint_every=given.CHECKPOINT_EVERY.value,
        evaluate_every=given.EVALUATE_EVERY.value,
        keep_checkpoints=given.KEEP_CHECKPOINTS.value,
    )
    return Plan(
        recipe=recipe,
        dataset=name,
        where=data_flags.where(),
        num_examples=given.NUM_EXAMPLES.value,
        seed=given.SEED.value,
        steps=steps,
        workdir=expand(given.WORKDIR.value or _workdir(recipe)),
        overwrite=given.OVERWRITE.value,
        schedule=schedule,
        num_devices=given.NUM_DEVICES.value,
        processes=_processes(),
        images_on=given.IMAGES_ON.value,
        track=tuple(given.TRACK.value),
        init_from=_init_from(),
    )


def _init_from() -> pathlib.Path | None:
    named = given.INIT_FROM.value
    if named is None:
        return None
    if not named:
        raise UserError("--init_from is empty: name a run folder")
    if given.DISTRIBUTED.value:
        raise UserError("--init_from is for one process, and not for --distributed")
    return expand(named)


def _workdir(recipe: recipes.Recipe) -> str:
    """Where a run is, that does not say where."""
    kind = [recipe.loss]
    if recipe.network != "reference":
        kind.append(recipe.network)
    names = "_".join(name.rpartition(":")[2].replace(",", "_") for name in kind)
    return f"runs/{names}{'_conditional' if recipe.conditional else ''}"


def _recipe(num_devices: int) -> recipes.Recipe:
    """The recipe that the flags ask for on so many devices."""
    batch_size = given.BATCH_SIZE.value
    if given.BATCH_SIZE_PER_DEVICE.value is not None:
        if batch_size is not None:
            raise UserError(
                f"--batch_size={batch_size}, of all devices together, contradicts"
                f" --batch_size_per_device={given.BATCH_SIZE_PER_DEVICE.value}: leave"
                " one out"
            )
        batch_size = given.BATCH_SIZE_PER_DEVICE.value * num_devices
    recipe = recipes.recipe(
        given.LOSS.value,
        given.RECIPE.value,
        batch_size=batch_size,
        **{flag.name: flag.value for flag in given.OF_RECIPE},
    )
    usual = recipes.recipe(recipe.loss, given.RECIPE.value, network=recipe.network)
    return recipes.scale(recipe, usual.batch_size, given.LR_SCALING.value)


def _processes() -> Processes | None:
    flags = (given.COORDINATOR, given.NUM_PROCESSES, given.PROCESS_ID)
    named = [flag for flag in flags if flag.value is not None]
    if named and not given.DISTRIBUTED.value:
        raise UserError(f"--{named[0].name} goes with --distributed: add it")
    if not given.DISTRIBUTED.value:
        return None
    processes = Processes(*(flag.value for flag in flags))
    if not named:
        return processes
    if len(named) < len(flags):
        names = ", ".join(f"--{flag.name}" for flag in flags)
        raise UserError(f"{names} go together: give all three, or none on a cluster")
    host, _, port = processes.coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"--coordinator={processes.coordinator} must be host:port")
    if not 0 <= processes.process_id < processes.num_processes:
        raise UserError(
            f"--process_id={processes.process_id} must be from 0 to --num_processes - 1"
        )
    return processes
