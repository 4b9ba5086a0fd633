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

    Where it names code of one's own, a step of its batch and a sample are traced, and a
    penalised discriminator is asked for the logits of two batches. Of several devices,
    what is one's own is asked for values of a batch and of its parts; nothing else is
    computed.

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
    batch = (gan.critic_steps, recipe.batch_size)
    conditional = gan.num_classes is not None
    labels = jax.ShapeDtypeStruct(batch, jnp.int32) if conditional else None
    real = jax.ShapeDtypeStruct((*batch, *shape), jnp.float32)

    def step(real: jax.Array, labels: jax.Array | None) -> Any:
        state = init_state(gan, jax.random.key(0), shape)
        state, _ = train_step(gan, state, real, labels)
        z = jnp.zeros((2, gan.latent_size))  # samples are made in any number
        return generate(gan, state, z, jnp.zeros(2, jnp.int32) if conditional else None)

    with _quoted(recipe):
        hash((gan.generator, gan.discriminator))  # their programs are found by it
        jax.eval_shape(step, real, labels)
        if gan.penalty is not None and own_code.is_own(recipe.network):
            _refuse_mixing(gan, recipe.batch_size, shape)


def _refuse_mixing(gan: GAN, batch_size: int, shape: tuple[int, int, int]) -> None:
    """A penalty is of each image's own logit: it may not depend on the other images.

    Raises:
      UserError: it does. What keeps statistics of a batch `init_state` has refused.
    """
    both = (2 * batch_size, *shape)
    images = jax.random.uniform(jax.random.key(0), both, minval=-1)
    labels = () if gan.num_classes is None else (jnp.zeros(batch_size, jnp.int32),)
    call = functools.partial(gan.discriminator.apply, train=True, mutable="batch_stats")

    @jax.jit
    def first_logits(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        init = functools.partial(gan.discriminator.init, jax.random.key(0), train=True)
        variables = init(images[:batch_size], *labels)
        # A loop: both are the same program, and equal to the last bit.
        batches = images.reshape(2, batch_size, *shape).at[1, 0].set(images[0])
        return jax.lax.map(lambda x: call(variables, x, *labels)[0][0], batches)

    one, other = first_logits(images)
    if one != other:
        raise UserError(
            "a gradient penalty needs a critic that scores each image by itself, and a"
            f" score of --network's changes from {one:g} to {other:g} with the other"
            " images of its batch: take out what mixes them, as a standard deviation"
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
        of_two = 2 * max(1, recipe.batch_size // num_devices)
        labels = (jnp.arange(of_two) % gan.num_classes,) if conditional else ()
        z = jax.random.normal(keys[2], (of_two, gan.latent_size))
        images = jax.random.uniform(keys[3], (of_two, *shape), minval=-1)
        for module, inputs in ((gan.generator, z), (gan.discriminator, images)):
            who = f"--network={recipe.network}: what {type(module).__name__}"
            _refuse_networks_parts(who, num_devices, module, inputs, *labels)


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


def _refuse_networks_parts(
    who: str, num_devices: int, module: nn.Module, inputs: jax.Array, *labels: jax.Array
) -> None:
    """Refuses a network that computes something else on two devices than on one.

    Args:
      who: for the message, as is ``num_devices``.
      num_devices: that share a batch.
      module: with the device axis.
      inputs: of two devices.
      *labels: of the inputs, where it is conditional.

    Raises:
      UserError: its outputs are others, or its running statistics.
    """
    first = len(inputs) // 2
    inputs = jnp.concatenate([inputs[:first] / 10, inputs[first:]])  # of two kinds

    @jax.jit
    def both(*batch: jax.Array) -> list[tuple[jax.Array, Any]]:
        variables = module.init(
            jax.random.key(0), *(x[:first] for x in batch), train=True
        )
        how = {"train": True, "mutable": "batch_stats"}

        def on(devices: int) -> tuple[jax.Array, Any]:
            parts = [x.reshape(devices, -1, *x.shape[1:]) for x in batch]
            call = functools.partial(module.apply, variables, **how)
            outputs, moved = jax.vmap(call, axis_name=_AXIS)(*parts)
            return outputs.ravel(), jax.tree.map(lambda x: x.astype(float), moved)

        return [on(1), on(2)]

    def largest(tree: Any) -> float:
        return max(
            (float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(tree)), default=0
        )

    (outputs, stats), (apart, stats_apart) = both(inputs, *labels)
    on_devices = f"each of {num_devices} devices has its own part of the batch"
    # Sums over devices, as those of batch norm, are rounded in another order.
    if largest(apart - outputs) > 1e-3 * largest(outputs):
        raise UserError(
            f"{who} gives for an example changes with the others, and {on_devices}:"
            " take out what mixes them, as a standard deviation over the batch, or use"
            " --num_devices=1"
        )
    kept, kept_apart = (tree.get("batch_stats", {}) for tree in (stats, stats_apart))
    named = jax.tree_util.tree_leaves_with_path(kept)
    for (path, one), other in zip(named, jax.tree.leaves(kept_apart), strict=True):
        if largest(other - one) > max(1e-4 * largest(one), 1e-6 * largest(stats)):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise UserError(
                f"{who} keeps ({name}) is of a batch, and {on_devices}: average it with"
                " jax.lax.pmean over an attribute axis_name, or use --num_devices=1"
            )
