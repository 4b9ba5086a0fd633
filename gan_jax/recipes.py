"""The tables from a loss's name to everything that trains it.

The published numbers are those of the reference networks (Adam 1e-3, betas 0.5 and
0.999, one discriminator step per generator step), and of each loss's paper where the
loss needs its own. The tuned ones give better samples after one epoch of
Fashion-MNIST: docs/quality.md says how much, and how they were found.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax import networks
from gan_jax.errors import UserError, check_name
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.training import GAN


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Every number of a GAN's training but length and seed.

    Attributes:
      loss: name in `LOSSES`.
      conditional: whether both networks see the labels.
      batch_size: real examples of a discriminator step, over all devices.
      penalty: name in `PENALTIES`, or "none".
      penalty_weight: factor of the penalty.
      clip: bound of the discriminator's weights, or None for no clipping.
      critic_steps: discriminator steps per generator step.
      optimiser: "adam" or "rmsprop", of both networks.
      generator_lr: learning rate.
      discriminator_lr: learning rate.
      beta1: Adam's decay of the first moment.
      beta2: Adam's decay of the second moment.
      latent_size: dimension of z.
      ema_decay: decay of the generator's moving average for sampling, or None.
      precision: type of the computation, "float32" or "bfloat16".
      on_nan: what becomes of an update whose gradient holds NaN or infinity: "stop",
        it ends the run; or "skip", it is left out (`optax.apply_if_finite`), up to
        ten in a row.
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
    precision: str = "float32"
    on_nan: str = "stop"


PUBLISHED: dict[str, Recipe] = {
    recipe.loss: recipe
    for recipe in (
        Recipe("minimax"),
        Recipe("nonsaturating"),
        Recipe("kl"),
        Recipe(
            "wasserstein",
            clip=0.01,
            critic_steps=5,
            optimiser="rmsprop",
            generator_lr=5e-5,
            discriminator_lr=5e-5,
        ),
        Recipe("wasserstein_gp", penalty="gradient_penalty", penalty_weight=10.0),
        Recipe("hinge"),
        Recipe("least_squares"),
        Recipe("relativistic", penalty="r1_r2", penalty_weight=1.0),
    )
}

# More and larger steps, averaged over about a hundred of them; see docs/quality.md.
_MORE_STEPS = {
    "batch_size": 32,
    "generator_lr": 2e-3,
    "discriminator_lr": 2e-3,
    "beta1": 0.0,
    "beta2": 0.9,
    "ema_decay": 0.99,
}
_WITH_R1 = _MORE_STEPS | {"penalty": "r1", "penalty_weight": 3.0}

TUNED: dict[str, Recipe] = {
    loss: dataclasses.replace(PUBLISHED[loss], **numbers)
    for loss, numbers in {
        "minimax": _WITH_R1,
        "nonsaturating": _WITH_R1,
        "kl": _WITH_R1,
        "wasserstein": {
            "batch_size": 16,
            "critic_steps": 2,
            "generator_lr": 2e-4,
            "discriminator_lr": 2e-4,
            "ema_decay": 0.99,
        },
        "wasserstein_gp": _MORE_STEPS,
        "hinge": _WITH_R1,
        "least_squares": _WITH_R1,
        "relativistic": _MORE_STEPS,
    }.items()
}

TABLES = {"published": PUBLISHED, "tuned": TUNED}

# The weight that a penalty's paper gives it, for when a user adds one to a loss.
_PENALTY_WEIGHTS = {"gradient_penalty": 10.0, "one_sided": 10.0, "dragan": 10.0}
_PRECISIONS = {"float32": None, "bfloat16": jnp.bfloat16}
_MOST = {"batch_size": 2**20, "critic_steps": 10_000, "latent_size": 2**16}
LR_SCALING = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}  # powers of the batch size
_MOST_SKIPPED = 10  # updates in a row; a run that has lost more does not recover


def recipe(loss: str, table: str = "published", **overrides: Any) -> Recipe:
    """The recipe of a loss, with some of its numbers replaced.

    Args:
      loss: name in `LOSSES`.
      table: name in `TABLES`.
      **overrides: attributes of `Recipe`; None keeps the recipe's own.

    Returns:
      The checked recipe.

    Raises:
      UserError: an unknown name, a number out of range, or a contradiction.
    """
    check_name("recipe", table, TABLES)
    check_name("loss", loss, TABLES[table])
    base = TABLES[table][loss]
    given = {name: value for name, value in overrides.items() if value is not None}
    if "clip" in given and base.clip is None:
        raise UserError(
            f"--clip={given['clip']} contradicts --loss={loss}, which clips no weights:"
            " leave it out, or use --loss=wasserstein"
        )
    penalty = given.get("penalty", base.penalty)
    check_name("penalty", penalty, ["none", *PENALTIES])  # before its weight
    if "penalty_weight" in given and penalty == "none":
        raise UserError(
            f"--penalty_weight={given['penalty_weight']} without a penalty: name one"
            f" with --penalty ({', '.join(PENALTIES)})"
        )
    if penalty not in ("none", base.penalty):
        given.setdefault("penalty_weight", _PENALTY_WEIGHTS.get(penalty, 1.0))
    if penalty == "none":
        given["penalty_weight"] = 0.0
    result = dataclasses.replace(base, **given)
    check(result)
    if result.optimiser != "adam" and {"beta1", "beta2"} & given.keys():
        raise UserError(
            f"--beta1 and --beta2 are Adam's, and --loss={loss} trains with"
            f" {result.optimiser}: leave them out, or use --optimiser=adam"
        )
    return result


def scale(recipe: Recipe, batch_size: int, rule: str) -> Recipe:
    """Learning rates for another batch size than they were found with.

    Args:
      recipe: with the batch size to train with.
      batch_size: that the learning rates are for.
      rule: "none"; "sqrt", after the noise of Adam and RMSProp; "linear", after SGD's.

    Returns:
      The recipe with both learning rates multiplied by (batch size / that of the
      learning rates) to the power 0, 1/2 or 1; nothing else changes.

    Raises:
      UserError: a learning rate is no longer a finite number above 0.

    Sources:
      linear: Goyal et al. 2017, https://arxiv.org/abs/1706.02677
      sqrt: Krizhevsky 2014, https://arxiv.org/abs/1404.5997, from the variance of the
        gradient (his runs are linear); Malladi et al. 2022,
        https://arxiv.org/abs/2205.10287, for Adam and RMSProp, whose betas and epsilon
        they move as well
    """
    factor = (recipe.batch_size / batch_size) ** LR_SCALING[rule]
    scaled = dataclasses.replace(
        recipe,
        generator_lr=recipe.generator_lr * factor,
        discriminator_lr=recipe.discriminator_lr * factor,
    )
    check(scaled)
    return scaled


def check(recipe: Recipe) -> None:
    """Refuses a recipe that nothing can be trained with.

    Raises:
      UserError: an unknown name, or a number out of range.
    """
    check_name("loss", recipe.loss, LOSSES)
    check_name("penalty", recipe.penalty, ["none", *PENALTIES])
    check_name("optimiser", recipe.optimiser, ["adam", "rmsprop"])
    check_name("precision", recipe.precision, _PRECISIONS)
    check_name("reaction to NaN", recipe.on_nan, ["stop", "skip"])
    if not isinstance(recipe.conditional, bool):
        raise UserError(f"--conditional={recipe.conditional} must be true or false")
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


def make_gan(
    recipe: Recipe,
    *,
    shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    axis_name: str | None = None,
) -> GAN:
    """Puts loss, penalty, networks and optimisers together.

    Args:
      recipe: the numbers; those that are real numbers may be tracers, so that
        ``vmap`` can sweep them.
      shape: of an image, ``(height, width, channels)``; by default Fashion-MNIST's.
      num_classes: of the data's labels, where the recipe is conditional.
      generator: Linen module instead of `networks.Generator`; it takes labels where
        the recipe is conditional.
      discriminator: Linen module instead of `networks.Discriminator`, likewise.
      axis_name: the device axis, inside of ``pmap``.

    Returns:
      What `gan_jax.training` trains.

    Raises:
      UserError: such images cannot be made, or there are no classes to condition on.
    """
    dtype = _PRECISIONS[recipe.precision]
    if recipe.conditional and num_classes < 2:
        raise UserError(
            "--conditional needs labels of two classes or more, and the data set has"
            f" {num_classes or 'none'}: leave it out, or add them (docs/data.md)"
        )
    classes = num_classes if recipe.conditional else None
    if generator is None:
        generator = networks.Generator(classes, shape, axis_name, dtype)
    if discriminator is None:
        discriminator = networks.Discriminator(classes, dtype=dtype)

    def optimiser(learning_rate: float) -> optax.GradientTransformation:
        if recipe.optimiser == "adam":
            made = optax.adam(learning_rate, b1=recipe.beta1, b2=recipe.beta2)
        else:  # PyTorch's numbers, with which WGAN was published
            made = optax.rmsprop(learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False)
        if recipe.on_nan == "skip":
            return optax.apply_if_finite(made, _MOST_SKIPPED)
        return made

    return GAN(
        loss=LOSSES[recipe.loss],
        generator=generator,
        discriminator=discriminator,
        generator_optimiser=optimiser(recipe.generator_lr),
        discriminator_optimiser=optimiser(recipe.discriminator_lr),
        penalty=None if recipe.penalty == "none" else PENALTIES[recipe.penalty],
        penalty_weight=recipe.penalty_weight,
        clip=recipe.clip,
        critic_steps=recipe.critic_steps,
        latent_size=recipe.latent_size,
        num_classes=classes,
        ema_decay=recipe.ema_decay,
        axis_name=axis_name,
    )
