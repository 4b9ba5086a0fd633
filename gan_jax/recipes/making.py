"""The GAN of a recipe: loss, penalty, networks and optimisers put together."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax import networks, optimisers, own_code
from gan_jax.errors import UserError, quote
from gan_jax.losses import LOSSES, GANLoss
from gan_jax.penalties import PENALTIES, Penalty
from gan_jax.recipes.recipe import PRECISIONS, Recipe
from gan_jax.training import AUGMENTS, GAN

_MOST_SKIPPED = 10  # updates in a row; a run that has lost more does not recover
_NAMED = ("loss", "penalty", "optimiser", "network")  # that may be one's own


def make_gan(
    recipe: Recipe,
    *,
    shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    axis_name: str | None = None,
    steps: int | None = None,
) -> GAN:
    """Puts loss, penalty, networks and optimisers together.

    Args:
      recipe: the numbers; those that are real numbers may be tracers, so that
        ``vmap`` can sweep them.
      shape: of an image, ``(height, width, channels)``; by default Fashion-MNIST's.
      num_classes: of the data's labels, where the recipe is conditional.
      generator: Linen module instead of the recipe's; it takes labels where the recipe
        is conditional.
      discriminator: Linen module instead of the recipe's, likewise.
      axis_name: the device axis, inside of ``pmap``.
      steps: generator steps in all, which a learning rate's schedule needs.

    Returns:
      What `gan_jax.training` trains.

    Raises:
      UserError: such images cannot be made; there are no classes to condition on; code
        of one's own cannot be run, or is not what its flag asks for.
      ValueError: a schedule without ``steps``.
    """
    if recipe.conditional and num_classes < 2:
        raise UserError(
            "--conditional needs labels of two classes or more, and the data set has"
            f" {num_classes or 'none'}: leave it out, or add them (docs/data.md)"
        )
    classes = num_classes if recipe.conditional else None
    penalty = _penalty(recipe.penalty, shape, classes)
    if generator is None or discriminator is None:
        wanted = networks.Wanted(
            shape=shape,
            num_classes=classes,
            width=recipe.width,
            spectral_norm=recipe.spectral_norm,
            penalised=penalty is not None,
            axis_name=axis_name,
            dtype=PRECISIONS[recipe.precision].dtype,
        )
        pair = networks.make_pair(
            recipe.network, wanted, recipe.latent_size, recipe.batch_size
        )
        generator, discriminator = generator or pair[0], discriminator or pair[1]

    def optimiser(learning_rate: Any, updates: int) -> optax.GradientTransformation:
        made = optimisers.make(
            recipe.optimiser,
            learning_rate,
            beta1=recipe.beta1,
            beta2=recipe.beta2,
            schedule=recipe.schedule,
            updates=None if steps is None else steps * updates,
        )
        if recipe.on_nan == "skip":
            return optax.apply_if_finite(made, _MOST_SKIPPED)
        return made

    return GAN(
        loss=_loss(recipe.loss),
        generator=generator,
        discriminator=discriminator,
        generator_optimiser=optimiser(recipe.generator_lr, 1),
        discriminator_optimiser=optimiser(recipe.discriminator_lr, recipe.critic_steps),
        penalty=penalty,
        penalty_weight=1.0 if penalty is None else recipe.penalty_weight,
        clip=recipe.clip,
        critic_steps=recipe.critic_steps,
        latent_size=recipe.latent_size,
        init_batch=recipe.batch_size,
        num_classes=classes,
        ema_decay=recipe.ema_decay,
        ema_grows_from=recipe.ema_grows_from,
        axis_name=axis_name,
        mirror=recipe.mirror,
        augment=None if recipe.augment == "none" else AUGMENTS[recipe.augment],
        products=PRECISIONS[recipe.precision].products,
    )


def of_ones_own(recipe: Recipe) -> list[tuple[str, str]]:
    """Flags and names of what a recipe has of one's own; runs nothing."""
    names = [(flag, getattr(recipe, flag)) for flag in _NAMED]
    return [(flag, name) for flag, name in names if own_code.is_own(name)]


def sources(recipe: Recipe) -> dict[str, str]:
    """The code of one's own that a recipe names: where it is, and its SHA-256.

    Raises:
      UserError: it is not there, or cannot be run.
    """
    return dict(own_code.source(*named) for named in of_ones_own(recipe))


def _loss(name: str) -> GANLoss:
    if not own_code.is_own(name):
        return LOSSES[name]
    found = own_code.find("loss", name)[0]
    if not isinstance(found, GANLoss):
        raise UserError(
            f"--loss={name} is {type(found).__name__}: it has to be a"
            " gan_jax.losses.GANLoss(discriminator, generator)"
        )
    logits = jax.ShapeDtypeStruct((4,), jnp.float32)
    for player, function in found._asdict().items():
        _require_scalar(f"--loss={name}: {player}", function, logits, logits)
    return found


def _penalty(
    name: str, shape: tuple[int, ...], num_classes: int | None
) -> Penalty | None:
    if name == "none":
        return None
    if not own_code.is_own(name):
        return PENALTIES[name]
    found = own_code.find("penalty", name)[0]

    def critic(x: jax.Array, *label: jax.Array) -> jax.Array:
        return jnp.sum(x**2)

    def penalty(*batch: jax.Array | None) -> Any:
        return found(critic, *batch)

    examples = jax.ShapeDtypeStruct((4, *shape), jnp.float32)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 4))
    labels = None if num_classes is None else jax.ShapeDtypeStruct((4,), jnp.int32)
    _require_scalar(f"--penalty={name}", penalty, examples, examples, keys, labels)
    return found


def _require_scalar(who: str, function: Any, *args: Any) -> None:
    """Looks at what a function of one's own gives, without computing anything.

    Raises:
      UserError: something else than a real scalar, or an error of its own.
    """
    try:
        found = jax.eval_shape(function, *args)
    except Exception as error:  # whatever somebody's code raises
        raise UserError(f"{who} cannot be called ({quote(error)}): mend it") from error
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape != () or not jnp.issubdtype(dtype, jnp.floating):
        given = type(found).__name__ if shape is None else f"{dtype} {list(shape)}"
        raise UserError(
            f"{who} gives {given} for a batch of 4, and no scalar: return the mean over"
            " the batch"
        )
