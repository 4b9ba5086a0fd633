"""What a training step must cost on this machine: the floor of the roofline.

It has two terms: a step's matrix products at the rate of large ones, and its weights
and optimiser state, read and written, at the rate of large copies. Both rates are
measured, in a process of its own that alternates with the programs, and not read off a
data sheet. Activations are not counted as bytes: nothing says that they must leave the
caches. Where caches hold weights and state as well, the second term is no bound.
(Williams, Waterman & Patterson 2009, https://doi.org/10.1145/1498765.1498785.)
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.measure.peers.worker import Phases, Spec
from gan_jax import backend, recipes, training
from gan_jax.recipes import Recipe
from gan_jax.recipes.recipe import PRECISIONS

# Passes for each gradient penalty: at points that the loss scores anyway, the logits'
# gradient and twice that to differentiate it; elsewhere the pass before it as well.
_PENALTY = {"none": 0, "r1": 3, "r2": 3, "r1_r2": 6}
_ELSEWHERE = 4
_WIDTH = 64  # of the reference networks
_SIZES = {"cpu": (2048, 2**26), "gpu": (8192, 2**28)}  # side of a matrix; numbers
_CALLS = 3  # timed together, so that the host's part of each is hidden
_TRIES = 2


def step_flops(recipe: Recipe, shape: Sequence[int] = (28, 28, 1)) -> float:
    """Floating-point operations of the matrix products that a step cannot do without.

    A product of one pass is three in training (output, gradients of input and weights).
    First layers' input gradients are counted although some are not needed: they are
    below 1 %.
    """
    if recipe.network != "reference":
        return _counted_flops(recipe, tuple(shape))
    # Multiplications of one pass of one example through the reference networks.
    height, width, channels = shape
    wide = recipe.width or _WIDTH
    pixels, flat = height * width, height * width // 16 * wide
    discriminator = pixels // 4 * wide // 2 * 16 * channels
    discriminator += pixels // 16 * wide * 8 * wide
    discriminator += flat * 8 * wide + 8 * wide
    generator = recipe.latent_size * 8 * wide + 8 * wide * flat
    generator += pixels // 4 * wide // 2 * 9 * wide // 4
    generator += pixels * 9 * wide // 8 * channels
    penalty = _PENALTY.get(recipe.penalty, _ELSEWHERE)
    critic = generator + (2 * 3 + penalty) * discriminator
    # The generator's own step: forward, and back to its weights through both.
    scores_real = recipe.loss == "relativistic"
    last = 3 * generator + (2 + scores_real) * discriminator
    return 2.0 * recipe.batch_size * (recipe.critic_steps * critic + last)


def _counted_flops(recipe: Recipe, shape: tuple[int, ...]) -> float:
    """All operations, not products alone, that XLA counts of a step as written."""
    gan = recipes.make_gan(recipe, shape=shape)
    key = jax.random.key(0)
    state = jax.eval_shape(lambda: training.init_state(gan, key, shape))
    real = jax.ShapeDtypeStruct((1, recipe.batch_size, *shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((1, recipe.batch_size), jnp.int32)
    once = dataclasses.replace(gan, critic_steps=1)  # a loop is counted once

    def critic(state: Any, real: Any, labels: Any) -> Any:
        labels = None if gan.num_classes is None else labels[0]
        of = (gan, state, real[0], state.key, labels)
        gradients = training.discriminator_gradients(*of)[0]
        return training.step.update(
            gan.discriminator_optimiser, state.discriminator, gradients
        )

    def flops(function: Callable[..., Any]) -> float:
        return jax.jit(function).lower(state, real, labels).cost_analysis()["flops"]

    more = recipe.critic_steps - 1
    return flops(partial(training.train_step, once)) + more * flops(critic)


def step_bytes(recipe: Recipe, shape: Sequence[int] = (28, 28, 1)) -> float:
    """Bytes of weights and optimiser state that a step reads and writes."""
    gan = recipes.make_gan(recipe, shape=tuple(shape))
    key = jax.random.key(0)
    state = jax.eval_shape(lambda: training.init_state(gan, key, tuple(shape)))

    def size(tree: Any) -> int:
        return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))

    critic = recipe.critic_steps * size(state.discriminator)
    return 2.0 * (critic + size((state.generator, state.ema)))


def floor_terms(
    work: dict[str, float], rates: dict[str, float], devices: int = 1, gans: int = 1
) -> dict[str, float]:
    """Seconds of a step of one GAN, of ``flops`` and of ``bytes``.

    Args:
      work: of each in a step of one GAN.
      rates: of each in a second, on one device.
      devices: that share the work. One GAN is split by its batch, and each device moves
        all of its weights; of several GANs, each device has some.
      gans: how many are trained at once.
    """
    movers = devices if gans > 1 else 1
    return {
        "flops": work["flops"] / rates["flops"] / devices,
        "bytes": work["bytes"] / rates["bytes"] / movers,
    }


def start(
    spec: Spec, phases: Phases
) -> tuple[Callable[[int], dict[str, float]], dict[str, Any]]:
    """Prepares to measure the rates in the precision of the programs.

    Returns:
      What measures ``flops`` and ``bytes`` a second on one device, whatever it is
      given, and what there is to report: ``work`` of a step of one GAN, and
      ``product_error``, the relative error of a matrix product: below 1e-6 in float32,
      3e-4 in TF32.
    """
    recipe = Recipe(**spec["recipe"])
    phases.end("import")
    rates = rate_meter(recipe.precision)
    phases.end("initialise")
    rates()
    phases.end("first step")
    return lambda _: rates(), {
        "work": {
            "flops": step_flops(recipe, spec["shape"]),
            "bytes": step_bytes(recipe, spec["shape"]),
        },
        "product_error": _product_error(recipe.precision),
        "platform": jax.devices()[0].platform,
        "device_memory": lambda: None,
    }


def rate_meter(precision: str) -> Callable[[], dict[str, float]]:
    """What measures ``flops`` and ``bytes`` a second on the first device.

    Args:
      precision: name in `gan_jax.recipes.recipe.PRECISIONS`.
    """
    side, numbers = _SIZES.get(jax.devices()[0].platform, _SIZES["gpu"])
    square = _noise(side, precision)
    product = jax.jit(partial(_product, precision))
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def rates() -> dict[str, float]:
        line = jnp.zeros(numbers)  # for as long as it is needed
        return {
            "flops": 2.0 * side**3 / _seconds(partial(product, square), square),
            "bytes": 2.0 * line.nbytes / _seconds(add, line),
        }

    return rates


def _noise(side: int, precision: str) -> Any:
    """A square matrix, not of zeros, which are faster on a GPU."""
    square = jax.random.normal(jax.random.key(0), (side, side)) / side**0.5
    return square.astype(PRECISIONS[precision].dtype or square.dtype)


def _product(precision: str, x: Any, y: Any) -> Any:
    """The matrix product of two arrays, in the precision that the networks have."""
    with backend.products(PRECISIONS[precision].products):
        return jnp.matmul(x, y)


def _seconds(call: Callable[[Any], Any], x: Any) -> float:
    """The least seconds of a call on its own result."""
    best = math.inf
    for _ in range(_TRIES):
        x = call(x).block_until_ready()
        started = time.perf_counter()
        for _ in range(_CALLS):
            x = call(x)
        x.block_until_ready()
        best = min(best, (time.perf_counter() - started) / _CALLS)
    return best


def _product_error(precision: str) -> float:
    """Relative error of a matrix product, against float64 on the host."""
    x = _noise(512, precision)
    found = np.asarray(_product(precision, x, x), np.float64)
    exact = np.asarray(x, np.float64) @ np.asarray(x, np.float64)
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))
