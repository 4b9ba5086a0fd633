"""What to train: the flags of `experiments.train`, checked, as one value."""

import pathlib
from typing import NamedTuple

from absl import flags

from experiments.common import cli
from gan_jax import data, recipes, training
from gan_jax.data import npy
from gan_jax.errors import UserError, check_name
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.run import configuration, loop

NPY = "npy"
_DATASETS = (*data.DATASETS, NPY)

_LOSS = flags.DEFINE_string(
    "loss", "wasserstein_gp", f"What to train: {', '.join(LOSSES)}."
)
_RECIPE = flags.DEFINE_string(
    "recipe",
    "tuned",
    "Which numbers a loss is trained with: published, those of its paper and of the"
    " reference networks; or tuned, those that gave better samples after one epoch of"
    " Fashion-MNIST (docs/quality.md). The flags below replace single numbers.",
)
_CONDITIONAL = flags.DEFINE_boolean(
    "conditional",
    None,
    "Give both networks the labels: the generator beside z, the discriminator by"
    " projection.",
)
_DATASET = flags.DEFINE_string(
    "dataset",
    "auto",
    f"Training images: {', '.join(_DATASETS)}. auto is Fashion-MNIST where it can"
    " be had, and the drawn garments, with a warning, where it cannot. npy is your own"
    " images.npy and labels.npy in --data_dir (docs/devices.md).",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with the data set's four .gz files, or a TFDS folder. Default:"
    " $GAN_JAX_DATA_DIR, then TFDS's own.",
)
_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples",
    None,
    "Train on the first so many images; of garments, no more are drawn. Default: all.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Run folder. Default: runs/<loss>[_conditional]."
)
_EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the training images.")
_STEPS = flags.DEFINE_integer(
    "steps", None, "Generator steps in all, instead of --epochs."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    None,
    "Examples in a batch, over all devices together. Default: the recipe's.",
)
_BATCH_SIZE_PER_DEVICE = flags.DEFINE_integer(
    "batch_size_per_device",
    None,
    "Examples in a device's part of a batch, instead of --batch_size: more devices make"
    " the batch larger.",
)
_LR_SCALING = flags.DEFINE_enum(
    "lr_scaling",
    "none",
    list(recipes.LR_SCALING),
    "Multiply both learning rates, the recipe's or those of the flags, by a power of"
    " batch size / recipe's batch size: none (0), sqrt (1/2, usual for Adam) or linear"
    " (1, usual for SGD). docs/devices.md has the sources.",
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of the weights, of the data's order and of all latents."
)
_PENALTY = flags.DEFINE_string(
    "penalty",
    None,
    f"Gradient penalty: none, {', '.join(PENALTIES)}. Default: the recipe's.",
)
_PENALTY_WEIGHT = flags.DEFINE_float(
    "penalty_weight", None, "Factor of the penalty. Default: the recipe's."
)
_CRITIC_STEPS = flags.DEFINE_integer(
    "critic_steps",
    None,
    "Discriminator steps per generator step. Default: the recipe's.",
)
_CLIP = flags.DEFINE_float(
    "clip",
    None,
    "Bound of the critic's weights (--loss=wasserstein). Default: the recipe's.",
)
_GENERATOR_LR = flags.DEFINE_float(
    "generator_lr", None, "Learning rate. Default: the recipe's."
)
_DISCRIMINATOR_LR = flags.DEFINE_float(
    "discriminator_lr", None, "Learning rate. Default: the recipe's."
)
_OPTIMISER = flags.DEFINE_string(
    "optimiser", None, "adam or rmsprop, of both networks. Default: the recipe's."
)
_BETA1 = flags.DEFINE_float("beta1", None, "Adam's beta1. Default: the recipe's.")
_BETA2 = flags.DEFINE_float("beta2", None, "Adam's beta2. Default: the recipe's.")
_LATENT_SIZE = flags.DEFINE_integer(
    "latent_size", None, "Dimension of z. Default: the recipe's."
)
_EMA_DECAY = flags.DEFINE_float(
    "ema_decay",
    None,
    "Sample from a moving average of the generator with this decay, such as 0.999."
    " Default: the recipe's.",
)
_PRECISION = flags.DEFINE_string(
    "precision", None, "float32 or bfloat16. Default: float32."
)
_ON_NAN = flags.DEFINE_string(
    "on_nan",
    None,
    "What becomes of an update whose gradient holds NaN or infinity: stop, it ends the"
    " run with the last good checkpoint; or skip, it is left out, up to ten in a row."
    " Default: stop.",
)
_NUM_DEVICES = flags.DEFINE_integer(
    "num_devices", None, "Devices to train on. Default: all."
)
_IMAGES_ON = flags.DEFINE_enum(
    "images_on",
    "device",
    list(loop.IMAGES_ON),
    "Where the training images are: device, all of them on each device; or host, in its"
    " memory or on its disk, from which threads read those of the next steps. What is"
    " computed is the same.",
)
_SAMPLE_EVERY = flags.DEFINE_integer(
    "sample_every", 50, "Generator steps between sample grids."
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 500, "Generator steps between checkpoints; the last is saved."
)
_KEEP_CHECKPOINTS = flags.DEFINE_integer(
    "keep_checkpoints", 2, "How many of the newest checkpoints are kept."
)
_LOG_EVERY = flags.DEFINE_integer(
    "log_every",
    10,
    "Generator steps between lines of metrics.jsonl; one stands at each sample grid,"
    " at each checkpoint, every 50 steps and at the end of each epoch, too.",
)
_EVALUATE_EVERY = flags.DEFINE_integer(
    "evaluate_every",
    None,
    "Generator steps between measurements of FCD, the distance of 5,000 samples to the"
    " training images in the features of a classifier (trained once, up to two"
    " minutes). Default: never.",
)
_OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "Delete the run that --workdir holds."
)
_DISTRIBUTED = flags.DEFINE_boolean(
    "distributed",
    False,
    "Train in several processes, each started with the same flags and its own devices."
    " Under SLURM, on TPUs and on Kubernetes this is enough; elsewhere the next three"
    " say which process this is. Process 0 alone needs --workdir.",
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "host:port of process 0 (--distributed)."
)
_NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes there are (--distributed)."
)
_PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Which of them this is, from 0 (--distributed)."
)


class Processes(NamedTuple):
    """Several that train together: arguments of `processes.connect`."""

    coordinator: str | None
    num_processes: int | None
    process_id: int | None


class Plan(NamedTuple):
    """What the flags ask for, as far as they alone can say."""

    recipe: recipes.Recipe
    dataset: str
    data_dir: str | None
    num_examples: int | None
    seed: int
    steps: int
    workdir: pathlib.Path
    overwrite: bool
    schedule: loop.Schedule
    num_devices: int | None
    processes: Processes | None
    images_on: str

    def load(self) -> data.Dataset:
        """The training images; of npy, those that are asked for are read later.

        Raises:
          UserError: as `data.load` and `npy.from_npy`.
        """
        if self.dataset == NPY:
            return npy.from_npy(self.data_dir, self.num_examples)
        return data.load(
            self.dataset, data_dir=self.data_dir, num_examples=self.num_examples
        )

    def config(self, dataset: str) -> configuration.Config:
        """The run on the data set that is really there."""
        return configuration.Config(
            self.recipe, dataset, self.seed, self.steps, self.num_examples
        )


def plan(num_devices: int | None = None, num_examples: int | None = None) -> Plan:
    """Checks the flags; touches neither a device nor a file.

    Args:
      num_devices: how many will train, of all processes. Until that is known, the batch
        of --batch_size_per_device is that of --num_devices, or of one.
      num_examples: how many images --dataset=npy has. Until that is known, an epoch of
        them counts as one step.

    Raises:
      UserError: a flag, or two together, make no sense.
    """
    periods = (_LOG_EVERY, _SAMPLE_EVERY, _CHECKPOINT_EVERY, _EVALUATE_EVERY)
    counts = (_BATCH_SIZE, _EPOCHS, _STEPS, _KEEP_CHECKPOINTS, _NUM_EXAMPLES)
    for flag in (*counts, _BATCH_SIZE_PER_DEVICE, *periods):
        cli.require_positive(flag)
    check_name("data set", _DATASET.value, _DATASETS)
    if _DATASET.value == NPY:
        _check_npy()
    else:
        num_examples = _NUM_EXAMPLES.value or data.SIZES["train"]
        if num_examples > data.SIZES["train"]:
            raise UserError(
                f"--num_examples={num_examples} is more than there are:"
                f" {data.SIZES['train']}"
            )
    recipe = _recipe(num_devices or _NUM_DEVICES.value or 1)
    cli.require_seed(_SEED)
    if _WORKDIR.value == "":
        raise UserError("--workdir is empty: name a folder")
    default = f"runs/{recipe.loss}{'_conditional' if recipe.conditional else ''}"
    gan, per_epoch = recipes.make_gan(recipe), 1
    training.check_batch(gan, recipe.batch_size)
    if num_examples is not None:
        per_epoch = training.steps_per_epoch(gan, num_examples, recipe.batch_size)
    steps = _STEPS.value or _EPOCHS.value * per_epoch
    if steps >= 2**31:
        raise UserError(f"{steps} steps are more than are counted: at most 2^31 - 1")
    schedule = loop.Schedule(
        log_every=_LOG_EVERY.value,
        sample_every=_SAMPLE_EVERY.value,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        evaluate_every=_EVALUATE_EVERY.value,
        keep_checkpoints=_KEEP_CHECKPOINTS.value,
    )
    return Plan(
        recipe=recipe,
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        num_examples=_NUM_EXAMPLES.value,
        seed=_SEED.value,
        steps=steps,
        workdir=pathlib.Path(_WORKDIR.value or default).expanduser(),
        overwrite=_OVERWRITE.value,
        schedule=schedule,
        num_devices=_NUM_DEVICES.value,
        processes=_processes(),
        images_on=_IMAGES_ON.value,
    )


def _recipe(num_devices: int) -> recipes.Recipe:
    """The recipe that the flags ask for on so many devices."""
    batch_size = _BATCH_SIZE.value
    if _BATCH_SIZE_PER_DEVICE.value is not None:
        if batch_size is not None:
            raise UserError(
                f"--batch_size={batch_size}, of all devices together, contradicts"
                f" --batch_size_per_device={_BATCH_SIZE_PER_DEVICE.value}: leave one"
                " out"
            )
        batch_size = _BATCH_SIZE_PER_DEVICE.value * num_devices
    recipe = recipes.recipe(
        _LOSS.value,
        _RECIPE.value,
        conditional=_CONDITIONAL.value,
        batch_size=batch_size,
        penalty=_PENALTY.value,
        penalty_weight=_PENALTY_WEIGHT.value,
        clip=_CLIP.value,
        critic_steps=_CRITIC_STEPS.value,
        generator_lr=_GENERATOR_LR.value,
        discriminator_lr=_DISCRIMINATOR_LR.value,
        optimiser=_OPTIMISER.value,
        beta1=_BETA1.value,
        beta2=_BETA2.value,
        latent_size=_LATENT_SIZE.value,
        ema_decay=_EMA_DECAY.value,
        precision=_PRECISION.value,
        on_nan=_ON_NAN.value,
    )
    usual = recipes.TABLES[_RECIPE.value][recipe.loss].batch_size
    return recipes.scale(recipe, usual, _LR_SCALING.value)


def _check_npy() -> None:
    if not _DATA_DIR.value:
        raise UserError("--dataset=npy needs --data_dir, the folder of images.npy")
    if _EVALUATE_EVERY.value is not None:
        raise UserError(
            "--evaluate_every measures against a test split, and --dataset=npy has"
            " none: leave it out"
        )


def _processes() -> Processes | None:
    flags = (_COORDINATOR, _NUM_PROCESSES, _PROCESS_ID)
    given = [flag for flag in flags if flag.value is not None]
    if given and not _DISTRIBUTED.value:
        raise UserError(f"--{given[0].name} goes with --distributed: add it")
    if not _DISTRIBUTED.value:
        return None
    processes = Processes(*(flag.value for flag in flags))
    if not given:
        return processes
    if len(given) < len(flags):
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
