"""Trains a GAN: one loss, one data set, one command.

    python -m experiments.train --loss=wasserstein_gp

Leaves config.json, metrics.jsonl, TensorBoard events, sample grids, curves.png and
checkpoints in --workdir. Started again on a workdir, a run goes on where it stopped.
"""

import dataclasses
import pathlib
import statistics
import sys
from collections.abc import Callable

from absl import flags

from experiments import cli
from gan_jax import data, loop, parallel, recipes, runs, training
from gan_jax.errors import UserError, check_name
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES

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
    f"Training images: {', '.join(data.DATASETS)}. auto is Fashion-MNIST where it can"
    " be had, and the drawn garments, with a warning, where it cannot.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with the data set's four .gz files, or a TFDS folder. Default:"
    " $GAN_JAX_DATA_DIR, then TFDS's own.",
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
_NUM_DEVICES = flags.DEFINE_integer(
    "num_devices", None, "Devices to train on. Default: all."
)
_SAMPLE_EVERY = flags.DEFINE_integer(
    "sample_every", 50, "Generator steps between sample grids."
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 500, "Generator steps between checkpoints; the last is saved."
)
_LOG_EVERY = flags.DEFINE_integer(
    "log_every",
    10,
    "Generator steps between lines of metrics.jsonl; one stands before each sample"
    " grid, checkpoint and epoch, too.",
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


def main() -> None:
    """Turns the flags into one config, checks all of it, and trains."""
    periods = (_LOG_EVERY, _SAMPLE_EVERY, _CHECKPOINT_EVERY, _EVALUATE_EVERY)
    for flag in (_BATCH_SIZE, _EPOCHS, _STEPS, *periods):
        cli.require_positive(flag)
    recipe = recipes.recipe(
        _LOSS.value,
        _RECIPE.value,
        conditional=_CONDITIONAL.value,
        batch_size=_BATCH_SIZE.value,
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
    )
    cli.require_seed(_SEED)
    if _WORKDIR.value == "":
        raise UserError("--workdir is empty: name a folder")
    default = f"runs/{recipe.loss}{'_conditional' if recipe.conditional else ''}"
    workdir = pathlib.Path(_WORKDIR.value or default).expanduser()
    devices = parallel.choose_devices(_NUM_DEVICES.value)
    parallel.local_batch_size(recipe.batch_size, len(devices))
    check_name("data set", _DATASET.value, data.DATASETS)
    per_epoch = training.steps_per_epoch(
        recipes.make_gan(recipe), data.SIZES["train"], recipe.batch_size
    )

    def config_on(dataset: str) -> runs.Config:
        return runs.Config(
            recipe=recipe,
            dataset=dataset,
            seed=_SEED.value,
            steps=_STEPS.value or _EPOCHS.value * per_epoch,
        )

    # Whatever can be refused is refused before what takes time: a download, perhaps.
    if _DATASET.value == "auto":
        runs.check_folder(workdir)
    else:
        runs.check(workdir, config_on(_DATASET.value), overwrite=_OVERWRITE.value)
    dataset = data.load(_DATASET.value, data_dir=_DATA_DIR.value)
    if dataset.warning:
        print(f"warning: {dataset.warning}", file=sys.stderr)
    config = config_on(dataset.name)
    runs.check(workdir, config, overwrite=_OVERWRITE.value)
    evaluate = _monitor(dataset.name) if _EVALUATE_EVERY.value else None
    runs.prepare(workdir, config, overwrite=_OVERWRITE.value)
    schedule = loop.Schedule(
        log_every=_LOG_EVERY.value,
        sample_every=_SAMPLE_EVERY.value,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        evaluate_every=_EVALUATE_EVERY.value,
    )
    notes = {
        "source": dataset.source,
        "num_devices": len(devices),
        "schedule": dataclasses.asdict(schedule),
    }
    if dataset.warning:
        notes["warning"] = dataset.warning
    runs.write_config(workdir, config, **notes)
    kind = "conditional " if recipe.conditional else ""
    print(
        f"{kind}{recipe.loss} on {dataset.name} ({dataset.source}), {config.steps}"
        f" steps of {recipe.batch_size} on {len(devices)} {devices[0].device_kind}"
    )
    loop.train(
        config,
        dataset,
        workdir,
        schedule=schedule,
        evaluate=evaluate,
        devices=devices,
    )
    _summarise(workdir, dataset)


def _monitor(dataset: str) -> Callable[..., dict[str, float]]:
    from gan_jax.evaluation import report  # late: most runs do without

    return report.Monitor(report.load_reference(dataset, data_dir=_DATA_DIR.value))


def _summarise(workdir: pathlib.Path, dataset: data.Dataset) -> None:
    lines = runs.read_metrics(workdir)
    last = lines[-1]
    pace = statistics.median(line["images_per_second"] for line in lines)
    print(
        f"step {last['step']}: d_loss {last['d_loss']:.3f}, g_loss"
        f" {last['g_loss']:.3f}; {last['seconds']:.1f} s, {pace:.0f} images/s"
    )
    print(f"samples      {workdir / 'samples'}  (real images: {workdir / 'real.png'})")
    print(f"curves       {workdir / 'curves.png'}")
    print(f"metrics      {workdir / 'metrics.jsonl'}")
    print(f"checkpoints  {workdir / 'checkpoints'}")
    if dataset.warning:
        print(f"warning: {dataset.warning}")


if __name__ == "__main__":
    cli.run(main)
