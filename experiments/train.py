"""Trains a GAN: one loss, one data set, one command.

    python -m experiments.train --loss=wasserstein_gp

Leaves config.json, metrics.jsonl, TensorBoard events, sample grids, curves.png and
checkpoints in --workdir. Started again on a workdir, a run goes on where it stopped;
asked to end by SIGTERM or Ctrl-C, it saves and says how to go on (docs/reliability.md).
"""

import dataclasses
import pathlib
import shlex
import signal
import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
from absl import flags

from experiments import cli
from gan_jax import data, loop, parallel, recipes, recorder, runs, signals, training
from gan_jax.errors import UserError, check_name
from gan_jax.losses import LOSSES
from gan_jax.metrics_log import read_metrics
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


class Plan(NamedTuple):
    """What the flags ask for, as far as they alone can say."""

    recipe: recipes.Recipe
    workdir: pathlib.Path
    steps: int
    schedule: loop.Schedule

    def config(self, dataset: str) -> runs.Config:
        """The run on a data set."""
        return runs.Config(self.recipe, dataset, _SEED.value, self.steps)


def plan() -> Plan:
    """Checks the flags; touches neither a device nor a file.

    Raises:
      UserError: one of them, or two together, make no sense.
    """
    periods = (_LOG_EVERY, _SAMPLE_EVERY, _CHECKPOINT_EVERY, _EVALUATE_EVERY)
    for flag in (_BATCH_SIZE, _EPOCHS, _STEPS, _KEEP_CHECKPOINTS, *periods):
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
        on_nan=_ON_NAN.value,
    )
    cli.require_seed(_SEED)
    if _WORKDIR.value == "":
        raise UserError("--workdir is empty: name a folder")
    default = f"runs/{recipe.loss}{'_conditional' if recipe.conditional else ''}"
    check_name("data set", _DATASET.value, data.DATASETS)
    per_epoch = training.steps_per_epoch(
        recipes.make_gan(recipe), data.SIZES["train"], recipe.batch_size
    )
    steps = _STEPS.value or _EPOCHS.value * per_epoch
    if steps >= 2**31:
        raise UserError(f"{steps} steps are more than are counted: at most 2^31 - 1")
    _check_processes()
    return Plan(
        recipe,
        pathlib.Path(_WORKDIR.value or default).expanduser(),
        steps,
        loop.Schedule(
            log_every=_LOG_EVERY.value,
            sample_every=_SAMPLE_EVERY.value,
            checkpoint_every=_CHECKPOINT_EVERY.value,
            evaluate_every=_EVALUATE_EVERY.value,
            keep_checkpoints=_KEEP_CHECKPOINTS.value,
        ),
    )


def _check_processes() -> None:
    flags = (_COORDINATOR, _NUM_PROCESSES, _PROCESS_ID)
    given = [flag for flag in flags if flag.value is not None]
    if not given:
        return
    if not _DISTRIBUTED.value:
        raise UserError(f"--{given[0].name} goes with --distributed: add it")
    if len(given) < len(flags):
        names = ", ".join(f"--{flag.name}" for flag in flags)
        raise UserError(f"{names} go together: give all three, or none on a cluster")
    host, _, port = _COORDINATOR.value.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"--coordinator={_COORDINATOR.value} must be host:port")
    if not 0 <= _PROCESS_ID.value < _NUM_PROCESSES.value:
        raise UserError(
            f"--process_id={_PROCESS_ID.value} must be from 0 to --num_processes - 1"
        )


def main() -> None:
    """Trains, or goes on, until it is done or a signal asks to end."""
    with signals.Signals(lambda line: print(f"train: {line}", file=sys.stderr)) as held:
        asked = plan()
        step = _train(asked, held)
    if step < asked.steps:
        number = held.received or signal.SIGTERM  # of another process
        cli.end(
            f"{signal.Signals(number).name}: saved at step {step} of {asked.steps}; to"
            f" go on: {_same_command()}",
            128 + number,
        )


def _train(plan: Plan, held: signals.Signals) -> int:
    """Checks what the flags name, and trains up to the step that it returns."""
    if _DISTRIBUTED.value:
        parallel.connect(_COORDINATOR.value, _NUM_PROCESSES.value, _PROCESS_ID.value)
    devices = parallel.choose_devices(_NUM_DEVICES.value)
    parallel.local_batch_size(plan.recipe.batch_size, len(devices))
    # Whatever can be refused is refused before what takes time: a download, perhaps.
    if parallel.is_first():
        if _DATASET.value == "auto":
            runs.check_folder(plan.workdir)
        else:
            _check(plan, _DATASET.value)
    dataset = data.load(_DATASET.value, data_dir=_DATA_DIR.value)
    if dataset.warning:
        print(f"warning: {dataset.warning}", file=sys.stderr)
    if not parallel.is_first():
        with held.deferred():
            return _run(plan, dataset, devices, held, None)
    _check(plan, dataset.name)
    evaluate = _monitor(dataset.name) if _EVALUATE_EVERY.value else None
    with runs.claim(plan.workdir):
        _begin(plan, dataset, devices)
        with held.deferred():
            step = _run(plan, dataset, devices, held, evaluate)
    if step == plan.steps:
        _summarise(plan.workdir, dataset)
    return step


def _check(plan: Plan, dataset: str) -> None:
    runs.check(plan.workdir, plan.config(dataset), overwrite=_OVERWRITE.value)


def _begin(plan: Plan, dataset: data.Dataset, devices: list[jax.Device]) -> None:
    """Makes the folder into that of this run, and says what will be trained."""
    config = plan.config(dataset.name)
    runs.prepare(plan.workdir, config, overwrite=_OVERWRITE.value)
    notes = {
        "source": dataset.source,
        "num_devices": len(devices),
        "schedule": dataclasses.asdict(plan.schedule),
    }
    if dataset.warning:
        notes["warning"] = dataset.warning
    runs.write_config(plan.workdir, config, **notes)
    recipe = plan.recipe
    kind = "conditional " if recipe.conditional else ""
    print(
        f"{kind}{recipe.loss} on {dataset.name} ({dataset.source}), {plan.steps}"
        f" steps of {recipe.batch_size} on {len(devices)} {devices[0].device_kind}"
    )


def _run(
    plan: Plan,
    dataset: data.Dataset,
    devices: list[jax.Device],
    held: signals.Signals,
    evaluate: recorder.Evaluate | None,
) -> int:
    state = loop.train(
        plan.config(dataset.name),
        dataset,
        plan.workdir,
        schedule=plan.schedule,
        evaluate=evaluate,
        devices=devices,
        should_stop=lambda: held.received is not None,
    )
    return int(parallel.local(state.step))


def _same_command() -> str:
    """This command; without what would delete the run."""
    kept = [a for a in sys.argv[1:] if not a.lstrip("-").startswith("overwrite")]
    return shlex.join(["python", "-m", "experiments.train", *kept])


def _monitor(dataset: str) -> Callable[..., dict[str, float]]:
    from gan_jax.evaluation import report  # late: most runs do without

    return report.Monitor(report.load_reference(dataset, data_dir=_DATA_DIR.value))


def _summarise(workdir: pathlib.Path, dataset: data.Dataset) -> None:
    lines = read_metrics(workdir)
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
