"""What a GAN is trained with, as one value."""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp

from gan_jax import networks, optimisers, own_code
from gan_jax.errors import UserError, check_name
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.training import AUGMENTS


class Precision(NamedTuple):
    """In what the layers of both networks compute; parameters are float32 in all.

    Attributes:
      dtype: of what layers take and give; None for that of their parameters.
      products: of matrix products and convolutions, as `gan_jax.backend.products` has
        them; on a CPU it changes nothing.
    """

    dtype: Any
    products: str


PRECISIONS = {
    "float32": Precision(None, "highest"),
    "tf32": Precision(None, "high"),
    "bfloat16": Precision(jnp.bfloat16, "default"),
}
_MOST = {"batch_size": 2**20, "critic_steps": 10_000, "latent_size": 2**16}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every number of a GAN's training but length and seed.

    Attributes:
      loss: name in `LOSSES`, or of one's own (`gan_jax.own_code`).
      conditional: whether both networks see the labels.
      batch_size: real examples of a discriminator step, over all devices.
      penalty: name in `PENALTIES`, "none", or of one's own.
      penalty_weight: factor of the penalty.
      clip: bound of the discriminator's weights, or None for no clipping.
      critic_steps: discriminator steps per generator step.
      optimiser: of both networks, an alias of optax or of one's own.
      generator_lr: learning rate.
      discriminator_lr: learning rate.
      beta1: decay of the first moment, of Adam and those that have one.
      beta2: decay of the second moment, likewise.
      latent_size: dimension of z.
      ema_decay: decay of the generator's moving average for sampling, or None.
      ema_grows_from: step after which that average becomes longer as training does
        (`training.averages.decay`); 0 for never.
      precision: of the computation, name in `PRECISIONS`.
      on_nan: what becomes of an update whose gradient holds NaN or infinity: "stop",
        it ends the run; or "skip", it is left out (`optax.apply_if_finite`), up to
        ten in a row.
      network: name in `networks.NETWORKS`, or two names of one's own.
      width: of its layers; None for its own.
      spectral_norm: of the discriminator's weights.
      schedule: of both learning rates, in `optimisers.SCHEDULES`.
      mirror: whether real examples are taken as their mirror images half of the time.
      augment: of all that the discriminator sees: name in `training.AUGMENTS`, or
        "none".
    """

    loss: str
    conditional: bool = False
    batch_size: int = 64
    penalty: str = "none"
    penalty_weight: float = 0.0
    clip: float | None = None
    critic_steps: int = 1
    optimiser: str = "adam"
    generator_lr: float = 1e-3
    discriminator_lr: float = 1e-3
    beta1: float = 0.5
    beta2: float = 0.999
    latent_size: int = 64
    ema_decay: float | None = None
    ema_grows_from: int = 0
    precision: str = "float32"
    on_nan: str = "stop"
    network: str = "reference"
    width: int | None = None
    spectral_norm: bool = False
    schedule: str = "constant"
    mirror: bool = False
    augment: str = "none"


def check(recipe: Recipe) -> None:
    """Refuses a recipe that nothing can be trained with.

    Raises:
      UserError: an unknown name, or a number out of range.
    """
    own_code.check("loss", "loss", recipe.loss, LOSSES)
    own_code.check("penalty", "penalty", recipe.penalty, ["none", *PENALTIES])
    optimisers.check(recipe.optimiser)
    networks.check(recipe.network, recipe.width, recipe.spectral_norm)
    check_name("schedule", recipe.schedule, optimisers.SCHEDULES)
    check_name("augmentation", recipe.augment, ["none", *AUGMENTS])
    check_name("precision", recipe.precision, PRECISIONS)
    check_name("reaction to NaN", recipe.on_nan, ["stop", "skip"])
    for name in ("conditional", "spectral_norm", "mirror"):
        if not isinstance(getattr(recipe, name), bool):
            raise UserError(f"--{name}={getattr(recipe, name)} must be true or false")
    for name, most in _MOST.items():
        value = getattr(recipe, name)
        if not isinstance(value, int) or not 0 < value <= most:
            raise UserError(f"--{name}={value} must be a number from 1 to {most}")
    for name in ("generator_lr", "discriminator_lr", "clip"):
        value = getattr(recipe, name)
        given = value is not None or name != "clip"
        if given and not 0 < value < float("inf"):
            raise UserError(f"--{name}={value} must be above 0 and finite")
    if not 0 <= recipe.penalty_weight < float("inf"):
        raise UserError(
            f"--penalty_weight={recipe.penalty_weight} must be at least 0 and finite"
        )
    for name in ("beta1", "beta2", "ema_decay"):
        value = getattr(recipe, name)
        if (value is not None or name != "ema_decay") and not 0 <= value < 1:
            raise UserError(f"--{name}={value} must be at least 0 and below 1")
    grows = recipe.ema_grows_from
    if not isinstance(grows, int) or not 0 <= grows < 2**31:
        raise UserError(
            f"--ema_grows_from={grows} must be a number from 0 to {2**31 - 1}"
        )
    if grows and recipe.ema_decay is None:
        raise UserError(
            f"--ema_grows_from={grows} without a moving average: give its --ema_decay"
        )
