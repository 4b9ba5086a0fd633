"""A recipe tried before a run: what trains no GAN, or another one on more devices."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax import backend, networks, own_code
from gan_jax.errors import UserError, quote
from gan_jax.recipes.making import make_gan, of_ones_own
from gan_jax.recipes.recipe import Recipe
from gan_jax.training import GAN, check_batch, generate, init_state, train_step

_AXIS = "devices"


def try_gan(
    recipe: Recipe,
    shape: tuple[int, int, int],
    num_classes: int,
    num_devices: int = 1,
) -> None:
    """Refuses a recipe that trains no GAN on such images.

    Where it names code of one's own, a step and a sample are traced, and a penalised
    discriminator is asked for two logits. Of several devices, what is one's own is
    asked for values of a batch and of its parts; nothing else is computed.

    Args:
      recipe: as `make_gan` takes it.
      shape: of an image.
      num_classes: of the data's labels.
      num_devices: that share a batch.

    Raises:
      UserError: as `make_gan`, `check_batch`, `init_state` and, of several devices,
        `networks.refuse_apart`; an error of one's own code, which is quoted; or several
        devices would compute something else than one.
    """
    _try_alone(recipe, shape, num_classes)
    if num_devices > 1 and of_ones_own(recipe):
        # Without the rounding of lower precisions, which other parts may have.
        exact = dataclasses.replace(recipe, precision="float32")
        kind = {"shape": shape, "num_classes": num_classes, "axis_name": _AXIS}
        gan = make_gan(exact, steps=1, **kind)
        with _quoted(recipe), backend.products("highest"):
            _try_spread(recipe, gan, shape, num_devices)


@functools.lru_cache
def _try_alone(recipe: Recipe, shape: tuple[int, int, int], num_classes: int) -> None:
    """On one device: once, though devices are known later."""
    gan = make_gan(recipe, shape=shape, num_classes=num_classes, steps=1)
    check_batch(gan, recipe.batch_size)
    if not of_ones_own(recipe):
        return
    labels = None
    if gan.num_classes is not None:
        labels = jax.ShapeDtypeStruct((gan.critic_steps, 2), jnp.int32)
    real = jax.ShapeDtypeStruct((gan.critic_steps, 2, *shape), jnp.float32)
    z = jax.ShapeDtypeStruct((2, gan.latent_size), jnp.float32)

    def step(real: jax.Array, z: jax.Array, labels: jax.Array | None) -> Any:
        state = init_state(gan, jax.random.key(0), shape)
        state, _ = train_step(gan, state, real, labels)
        return generate(gan, state, z, None if labels is None else labels[0])

    with _quoted(recipe):
        hash((gan.generator, gan.discriminator))  # their programs are found by it
        jax.eval_shape(step, real, z, labels)
    if gan.penalty is not None and own_code.is_own(recipe.network):
        _refuse_mixing(gan, shape)


def _refuse_mixing(gan: GAN, shape: tuple[int, int, int]) -> None:
    """A penalty is of each image's own logit: it may not depend on the other images.

    Raises:
      UserError: it does. What keeps statistics of a batch `init_state` has refused.
    """
    images = jax.random.uniform(jax.random.key(0), (3, *shape), minval=-1)
    labels = () if gan.num_classes is None else (jnp.zeros(2, jnp.int32),)
    call = functools.partial(gan.discriminator.apply, train=True, mutable="batch_stats")

    @jax.jit
    def first_logits(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        init = functools.partial(gan.discriminator.init, jax.random.key(0), train=True)
        variables = init(images[:2], *labels)
        # A loop: both are the same program, and equal to the last bit.
        others = jnp.array([[0, 1], [0, 2]])
        return jax.lax.map(lambda i: call(variables, images[i], *labels)[0][0], others)

    one, other = first_logits(images)
    if one != other:
        raise UserError(
            "a gradient penalty needs a critic that scores each image by itself, and a"
            f" score of --network's changes from {one:g} to {other:g} with the other"
            " image of its batch: take out what mixes them, as a standard deviation"
            " over the batch, or train it with --penalty=none"
        )


@contextlib.contextmanager
def _quoted(recipe: Recipe) -> Iterator[None]:
    """Makes one line of what code of one's own raises."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever somebody's code raises
        names = ", ".join(f"--{flag}={name}" for flag, name in of_ones_own(recipe))
        raise UserError(
            f"{names}: a training step cannot be made ({quote(error)}): mend it"
        ) from error


def _try_spread(
    recipe: Recipe, gan: GAN, shape: tuple[int, ...], num_devices: int
) -> None:
    """Refuses what several devices, each with its part of a batch, compute otherwise.

    Args:
      recipe: of the GAN.
      gan: with the device axis.
      shape: of an image.
      num_devices: for the message.

    Raises:
      UserError: the same.
    """
    keys = jax.random.split(jax.random.key(0), 4)
    if own_code.is_own(recipe.loss):
        logits = 2 * jax.random.normal(keys[0], (2, 4))
        for player, function in gan.loss._asdict().items():
            who = f"--loss={recipe.loss}: {player}"
            _refuse_parts(who, num_devices, function, *logits)
    conditional = gan.num_classes is not None
    if own_code.is_own(recipe.penalty):
        images = jax.random.uniform(keys[1], (2, 4, *shape), minval=-1)
        images *= jnp.arange(1.0, 5).reshape(1, 4, 1, 1, 1) / 4  # unequal norms
        labels = jnp.arange(4) % gan.num_classes if conditional else None

        def penalty(*batch: Any) -> jax.Array:
            return gan.penalty(lambda x, *label: jnp.sum(x**2), *batch)

        who = f"--penalty={recipe.penalty}"
        _refuse_parts(who, num_devices, penalty, *images, keys, labels)
    if own_code.is_own(recipe.network):
        with networks.refuse_apart(num_devices):
            jax.eval_shape(lambda: init_state(gan, jax.random.key(0), shape))
        labels = (jnp.zeros(4, jnp.int32),) if conditional else ()
        z = jax.random.normal(keys[2], (8, gan.latent_size))
        images = jax.random.uniform(keys[3], (8, *shape), minval=-1)
        for module, inputs in ((gan.generator, z), (gan.discriminator, images)):
            if _depends_on_parts(module, inputs, *labels):
                raise UserError(
                    f"--network={recipe.network}: what {type(module).__name__} gives"
                    " for an example changes with the others, and each of"
                    f" {num_devices} devices has its own part of the batch: take out"
                    " what mixes them, as a standard deviation over the batch, or use"
                    " --num_devices=1"
                )


def _refuse_parts(
    who: str, num_devices: int, function: Callable[..., jax.Array], *batch: Any
) -> None:
    """Refuses a function of a batch that is not the mean of those of its halves.

    Raises:
      UserError: the same.
    """

    @jax.jit
    def values(*batch: Any) -> tuple[jax.Array, jax.Array]:
        halves = [jax.tree.map(lambda x, i=i: x[i : i + 2], batch) for i in (0, 2)]
        return function(*batch), sum(function(*half) for half in halves) / 2

    whole, parts = values(*batch)
    if not jnp.isclose(whole, parts, rtol=1e-4, atol=1e-5, equal_nan=True):
        raise UserError(
            f"{who} gives {whole:g} for a batch and {parts:g} as the mean of its"
            f" halves, and each of {num_devices} devices has its own part of the batch:"
            " make it a mean over examples, or use --num_devices=1"
        )


def _depends_on_parts(module: nn.Module, inputs: jax.Array, *labels: jax.Array) -> bool:
    """Whether it matters beside which others of a batch an example is on a device.

    Args:
      module: with the device axis.
      inputs: eight examples, for two devices.
      *labels: of the four on a device, where it is conditional.
    """

    @jax.jit
    def outputs(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        inputs = jnp.concatenate([inputs[:4] / 10, inputs[4:]])  # of two kinds
        variables = module.init(jax.random.key(0), inputs[:4], *labels, train=True)

        def call(x: jax.Array) -> jax.Array:
            return module.apply(
                variables, x, *labels, train=True, mutable="batch_stats"
            )[0]

        on_devices = jax.vmap(call, axis_name=_AXIS)
        apart = on_devices(inputs.reshape(2, 4, *inputs.shape[1:]))
        turns = inputs.reshape(4, 2, *inputs.shape[1:]).swapaxes(0, 1)
        mixed = on_devices(turns).swapaxes(0, 1)  # in the order of the inputs again
        return apart.ravel(), mixed.ravel()

    apart, mixed = outputs(inputs)
    # Sums over devices, as those of batch norm, are rounded in another order.
    return bool(jnp.max(jnp.abs(mixed - apart)) > 1e-3 * jnp.max(jnp.abs(apart)))
