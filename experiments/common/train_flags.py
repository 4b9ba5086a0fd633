"""The flags of `experiments.train`."""

from absl import flags

from experiments.common import data_flags
from gan_jax import networks, recipes
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.run import loop
from gan_jax.run.tracking import trackers

flags.adopt_module_key_flags(data_flags)

LOSS = flags.DEFINE_string(
    "loss",
    "wasserstein_gp",
    f"What to train: {', '.join(LOSSES)}; or your own, mine.py:NAME or"
    " package.module:NAME (docs/own.md), as for --penalty, --optimiser and --network.",
)
NETWORK = flags.DEFINE_string(
    "network",
    None,
    f"Generator and discriminator: {', '.join(networks.NETWORKS)}"
    " (docs/networks.md); or your own, mine.py:Generator,Discriminator. Default:"
    " reference.",
)
WIDTH = flags.DEFINE_integer(
    "width", None, "Width of the networks' layers. Default: the network's."
)
SPECTRAL_NORM = flags.DEFINE_boolean(
    "spectral_norm",
    None,
    "Divide each weight of the discriminator by its largest singular value; in dcgan,"
    " in place of its other normalisation.",
)
RECIPE = flags.DEFINE_string(
    "recipe",
    "tuned",
    "Which numbers a loss is trained with: published, one set for all losses (batches"
    " of 64, Adam 1e-3; of wasserstein, its paper's), each with its paper's penalty or"
    " clipping; or tuned, those that gave better samples after one epoch of"
    " Fashion-MNIST (docs/quality.md). The flags below replace single numbers.",
)
CONDITIONAL = flags.DEFINE_boolean(
    "conditional",
    None,
    "Give both networks the labels: the generator beside z, the discriminator by"
    " projection.",
)
NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples",
    None,
    "Train on the first so many images; of garments, no more are drawn. Default: all.",
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Run folder. Default: runs/<loss>[_<network>][_conditional]."
)
INIT_FROM = flags.DEFINE_string(
    "init_from",
    None,
    "Run folder whose weights to begin with, of both networks: the newest checkpoint's."
    " Networks, shape of the images and labels are the same; loss, data set and all"
    " other numbers may be others (docs/data.md).",
)
EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the training images.")
STEPS = flags.DEFINE_integer(
    "steps", None, "Generator steps in all, instead of --epochs."
)
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    None,
    "Examples in a batch, over all devices together. Default: the recipe's.",
)
BATCH_SIZE_PER_DEVICE = flags.DEFINE_integer(
    "batch_size_per_device",
    None,
    "Examples in a device's part of a batch, instead of --batch_size: more devices make"
    " the batch larger.",
)
LR_SCALING = flags.DEFINE_enum(
    "lr_scaling",
    "none",
    list(recipes.LR_SCALING),
    "Multiply both learning rates, the recipe's or those of the flags, by a power of"
    " batch size / recipe's batch size: none (0), sqrt (1/2, usual for Adam) or linear"
    " (1, usual for SGD). docs/devices.md has the sources.",
)
SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of the weights, of the data's order and of all latents."
)
PENALTY = flags.DEFINE_string(
    "penalty",
    None,
    f"Gradient penalty: none, {', '.join(PENALTIES)}; or your own. Default: the"
    " recipe's.",
)
PENALTY_WEIGHT = flags.DEFINE_float(
    "penalty_weight", None, "Factor of the penalty. Default: the recipe's."
)
CRITIC_STEPS = flags.DEFINE_integer(
    "critic_steps",
    None,
    "Discriminator steps per generator step. Default: the recipe's.",
)
CLIP = flags.DEFINE_float(
    "clip",
    None,
    "Bound of the critic's weights (--loss=wasserstein). Default: the recipe's.",
)
GENERATOR_LR = flags.DEFINE_float(
    "generator_lr", None, "Learning rate. Default: the recipe's."
)
DISCRIMINATOR_LR = flags.DEFINE_float(
    "discriminator_lr", None, "Learning rate. Default: the recipe's."
)
OPTIMISER = flags.DEFINE_string(
    "optimiser",
    None,
    "Of both networks: adam, rmsprop, or any other alias of optax that needs gradients"
    " alone, such as adamw, sgd or lion; or your own. Default: the recipe's.",
)
SCHEDULE = flags.DEFINE_string(
    "schedule",
    None,
    "Both learning rates over the run: constant; cosine or linear, down to 0 after the"
    " last update; or warmup_cosine, up from near 0 in its first 5 % before. With any"
    " but constant, a finished run cannot be continued. Default: constant.",
)
BETA1 = flags.DEFINE_float(
    "beta1", None, "beta1 of Adam and its like. Default: the recipe's."
)
BETA2 = flags.DEFINE_float(
    "beta2", None, "beta2 of Adam and its like. Default: the recipe's."
)
MIRROR = flags.DEFINE_boolean(
    "mirror", None, "Take each real image as its mirror image half of the time."
)
AUGMENT = flags.DEFINE_string(
    "augment",
    None,
    "Augmentation of all that the discriminator sees: none or diffaugment, random"
    " colour, translation and cutout; for few images. Default: none.",
)
LATENT_SIZE = flags.DEFINE_integer(
    "latent_size", None, "Dimension of z. Default: the recipe's."
)
EMA_DECAY = flags.DEFINE_float(
    "ema_decay",
    None,
    "Sample from a moving average of the generator with this decay, such as 0.999."
    " Default: the recipe's.",
)
EMA_GROWS_FROM = flags.DEFINE_integer(
    "ema_grows_from",
    None,
    "Step after which that average becomes longer as training does, up to 3 % of it; 0"
    " for never. Default: the recipe's; with --ema_decay, 0.",
)
PRECISION = flags.DEFINE_string(
    "precision",
    None,
    "float32, tf32 (products of 19 bits on an NVIDIA GPU, float32 on a CPU) or"
    " bfloat16. Default: float32.",
)
ON_NAN = flags.DEFINE_string(
    "on_nan",
    None,
    "What becomes of an update whose gradient holds NaN or infinity: stop, it ends the"
    " run with the last good checkpoint; or skip, it is left out, up to ten in a row."
    " Default: stop.",
)
NUM_DEVICES = flags.DEFINE_integer(
    "num_devices", None, "Devices to train on. Default: all."
)
IMAGES_ON = flags.DEFINE_enum(
    "images_on",
    "device",
    list(loop.IMAGES_ON),
    "Where the training images are: device, all of them on each device; or host, in its"
    " memory or on its disk, from which threads read those of the next steps. What is"
    " computed is the same.",
)
SAMPLE_EVERY = flags.DEFINE_integer(
    "sample_every", 50, "Generator steps between sample grids."
)
CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 500, "Generator steps between checkpoints; the last is saved."
)
KEEP_CHECKPOINTS = flags.DEFINE_integer(
    "keep_checkpoints", 2, "How many of the newest checkpoints are kept."
)
LOG_EVERY = flags.DEFINE_integer(
    "log_every",
    10,
    "Generator steps between lines of metrics.jsonl; one stands at each sample grid,"
    " at each checkpoint, every 50 steps and at the end of each epoch, too.",
)
EVALUATE_EVERY = flags.DEFINE_integer(
    "evaluate_every",
    None,
    "Generator steps between measurements of FCD, the distance of 5,000 samples to the"
    " training images in the features of a classifier (it comes with Fashion-MNIST;"
    " of other images it is trained once, up to two minutes), or in random ones where"
    " there are no labels; of stacked images, of the modes among 26,000. Default:"
    " never.",
)
TRACK = flags.DEFINE_list(
    "track",
    list(trackers.DEFAULT),
    "Where metrics, samples and settings are recorded as well, with commas between:"
    f" {', '.join(trackers.TRACKERS)} (docs/trackers.md). All but the first are extras,"
    " as in pip install 'gan_jax[wandb]'. --track= records nowhere else.",
)
OVERWRITE = flags.DEFINE_boolean(
    "overwrite", False, "Delete the run that --workdir holds."
)
DISTRIBUTED = flags.DEFINE_boolean(
    "distributed",
    False,
    "Train in several processes, each started with the same flags and its own devices."
    " Under SLURM, on TPUs and on Kubernetes this is enough; elsewhere the next three"
    " say which process this is. Process 0 alone needs --workdir.",
)
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "host:port of process 0 (--distributed)."
)
NUM_PROCESSES = flags.DEFINE_integer(
    "num_processes", None, "How many processes there are (--distributed)."
)
PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Which of them this is, from 0 (--distributed)."
)

# Those that replace a number of the recipe, by its name; and --batch_size does.
OF_RECIPE = (
    *(NETWORK, WIDTH, SPECTRAL_NORM, SCHEDULE, MIRROR, AUGMENT),
    *(CONDITIONAL, PENALTY, PENALTY_WEIGHT, CRITIC_STEPS, CLIP, GENERATOR_LR),
    *(DISCRIMINATOR_LR, OPTIMISER, BETA1, BETA2, LATENT_SIZE, EMA_DECAY),
    *(EMA_GROWS_FROM, PRECISION, ON_NAN),
)
POSITIVE = (
    *(BATCH_SIZE, EPOCHS, STEPS, KEEP_CHECKPOINTS, NUM_EXAMPLES, NUM_DEVICES),
    *(BATCH_SIZE_PER_DEVICE, LOG_EVERY, SAMPLE_EVERY, CHECKPOINT_EVERY, EVALUATE_EVERY),
)
