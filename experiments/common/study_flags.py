"""The flags of experiments.study, and what they ask for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from absl import flags

from experiments.common import cli, data_flags
from gan_jax.errors import UserError
from gan_jax.evaluation import references
from gan_jax.study import connection, halving, search, study_folder, sweep
from gan_jax.system.remote import Place, folder, is_remote

LOSS = flags.DEFINE_list(
    "loss",
    ["nonsaturating", "wasserstein_gp"],
    "Losses, with commas between; your own as mine.py:NAME.",
)
SWEEP = flags.DEFINE_string(
    "sweep",
    "seed:0..7",
    "Which GANs of each loss, in quotes: name:1|10 and seed:0..15 list values,"
    " generator_lr:1e-4..1e-2:log:5 is a grid of five, all combined;"
    " generator_lr:1e-4..1e-2:log (or :linear) is drawn for each GAN. Names are the"
    " numbers and names of a recipe, as in experiments.train, and seed.",
)
RECIPE = flags.DEFINE_string(
    "recipe", "tuned", "Table of the recipes: published or tuned."
)
CONDITIONAL = flags.DEFINE_boolean(
    "conditional", False, "Give both networks the labels."
)
EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the training images.")
STEPS = flags.DEFINE_integer(
    "steps", None, "Generator steps of each GAN, instead of --epochs."
)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 5000, "Samples for each FCD.")
SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of what the sweep draws. (Seeds of GANs are in --sweep.)"
)
SAMPLER = flags.DEFINE_enum(
    "sampler",
    None,
    search.SAMPLERS,
    "Let Optuna choose --trials of the sweep's settings instead of training all: at"
    " random, each of a grid once, or tpe, by what the ones before came to. Each is"
    " trained with all seeds of the sweep.",
)
TRIALS = flags.DEFINE_integer("trials", 27, "Settings of each loss, with --sampler.")
STORAGE = flags.DEFINE_string(
    "storage",
    None,
    "Where Optuna records trials: a URL such as sqlite:///study.db, or a file. Default:"
    f" {study_folder.JOURNAL} in --workdir; optuna-dashboard shows it.",
)
HALVING = flags.DEFINE_integer(
    "halving",
    None,
    "Successive halving: each rung takes so many times the steps of the one before, and"
    " of the settings --keep go on, the best by the distance to the training split.",
)
RUNGS = flags.DEFINE_integer(
    "rungs",
    4,
    "With --halving, how often GANs are measured, the end included: with --halving=3"
    " after 1/27, 1/9, 1/3 of their steps and all of them.",
)
KEEP = flags.DEFINE_integer(
    "keep",
    None,
    "With --halving, at each rung one of so many settings goes on. Default: as"
    " --halving; less costs more and misses the best less often (docs/study.md).",
)
ENGINE = flags.DEFINE_enum(
    "engine",
    "local",
    ["local", "ray"],
    "What trains: this process, or the machines of a Ray cluster (docs/study.md).",
)
RAY_ADDRESS = flags.DEFINE_string(
    "ray_address",
    None,
    "HOST:PORT of the cluster's head, or auto for the cluster that this machine is of."
    " Default: a Ray of this machine alone.",
)
NUM_DEVICES = flags.DEFINE_integer(
    "num_devices",
    None,
    "Devices to train on, each its own GANs. Default: all; on a CPU, one a core. With"
    " --engine=ray, devices of each wave, by default 1: waves run side by side.",
)
AT_ONCE = flags.DEFINE_integer(
    "at_once",
    None,
    "GANs that each device trains side by side; the others wait. Default: 1 on a CPU,"
    " where more are no faster, and 32 elsewhere. The last ones are filled up with"
    " copies, which take time and are thrown away.",
)
CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 500, "Generator steps between checkpoints of those under way."
)
WORKDIR = flags.DEFINE_string(
    "workdir", "runs/study", "Folder of the study; also s3://... or gs://..."
)
OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "Delete the study that --workdir holds."
)
QUICK = flags.DEFINE_boolean(
    "quick", False, "Drawn images, two seeds, twenty steps: seconds, for tests."
)


class Asked(NamedTuple):
    """What the flags ask for, as far as they alone can say."""

    axes: dict[str, sweep.Axis]
    runs: list[sweep.Run]
    searched: tuple[str, ...]  # losses, of which Optuna chooses the GANs
    rungs: halving.Halving
    dataset: str
    epochs: int
    steps: int | None
    workdir: Place

    def examples(self) -> list[sweep.Run]:
        """All its GANs; where Optuna chooses, one of every kind that it may choose."""
        if self.runs:
            return self.runs
        found = []
        for end in ("low", "high"):
            ends = {name: (getattr(axis, end),) for name, axis in self.drawn.items()}
            found += expand(self.searched, self.axes | ends | {"seed": (0,)})
        return found

    @property
    def drawn(self) -> dict[str, sweep.Range]:
        """The intervals of the sweep."""
        return sweep.intervals(self.axes)

    def settings(self, dataset: str) -> dict[str, Any]:
        """What all GANs of the study share, by the names of the flags."""
        return {
            "recipe": RECIPE.value,
            "conditional": CONDITIONAL.value,
            "dataset": dataset,
            "epochs": None if self.steps else self.epochs,
            "steps": self.steps,
            "num_samples": NUM_SAMPLES.value,
            "seed": SEED.value,
            "quick": QUICK.value,
            "halving": HALVING.value,
            "rungs": RUNGS.value if HALVING.value else None,
            "keep": KEEP.value if KEEP.value != HALVING.value else None,
            "sampler": SAMPLER.value,
        }


def read() -> Asked:
    """Checks the flags; touches neither a device nor a file.

    Raises:
      UserError: one of them, or two together, make no sense.
    """
    for flag in (EPOCHS, STEPS, AT_ONCE, NUM_DEVICES, CHECKPOINT_EVERY, TRIALS):
        cli.require_positive(flag)
    cli.require_one(EPOCHS, STEPS)
    cli.require_losses(LOSS)
    cli.require_seed(SEED)
    cli.require_in(NUM_SAMPLES, 2, references.MOST)
    if not WORKDIR.value:
        raise UserError("--workdir is empty: name a folder")
    if RAY_ADDRESS.value and ENGINE.value != "ray":
        raise UserError("--ray_address is for --engine=ray: give that, too")
    if ENGINE.value == "ray":
        connection.require()
    workdir = folder(WORKDIR.value)
    for flag in (STORAGE, TRIALS):
        if flags.FLAGS[flag.name].present and not SAMPLER.value:
            raise UserError(f"--{flag.name} is for --sampler: give that, too")
    if SAMPLER.value and is_remote(workdir) and not STORAGE.value:
        raise UserError(
            f"--sampler with --workdir={WORKDIR.value} needs --storage: Optuna's"
            " journal is a local file"
        )
    quick = QUICK.value
    axes = sweep.parse(cli.unless_quick(SWEEP, "seed:0..1", quick))
    dataset = cli.unless_quick(data_flags.DATASET, "garments", quick)
    data_flags.check()
    if SAMPLER.value:
        search.check(axes, SAMPLER.value)
    losses = tuple(dict.fromkeys(LOSS.value))
    return Asked(
        axes=axes,
        runs=[] if SAMPLER.value else expand(losses, axes),
        searched=losses if SAMPLER.value else (),
        rungs=_rungs(),
        dataset=dataset,
        epochs=EPOCHS.value,
        steps=cli.unless_quick(STEPS, 20, quick and not flags.FLAGS["epochs"].present),
        workdir=workdir,
    )


def _rungs() -> halving.Halving:
    if HALVING.value is None:
        for flag in (RUNGS, KEEP):
            if flags.FLAGS[flag.name].present:
                raise UserError(f"--{flag.name} is for --halving: give that, too")
        return halving.Halving()
    for flag in (HALVING, RUNGS, KEEP):
        if flag.value is not None and flag.value < 2:
            raise UserError(f"--{flag.name}={flag.value} must be at least 2")
    return halving.Halving(HALVING.value, RUNGS.value, KEEP.value)


def expand(losses: Sequence[str], axes: dict[str, sweep.Axis]) -> list[sweep.Run]:
    """The GANs of a sweep, with the recipe that the flags name.

    Raises:
      UserError: as `sweep.expand`.
    """
    return sweep.expand(
        losses,
        RECIPE.value,
        axes,
        conditional=CONDITIONAL.value,
        draw_seed=SEED.value,
    )
