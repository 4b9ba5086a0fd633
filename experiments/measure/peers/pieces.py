"""A training step in pieces: each compiled alone, alternating with the whole step."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.measure.peers import machine, worker
from gan_jax import recipes, training
from gan_jax.training.draws import latents
from gan_jax.training.step import apply, update

_CALLS = 4  # of a piece, in its turn
_EXAMPLES = 10_000
Piece = tuple[Callable[..., Any], tuple[Any, ...], int]  # function, arguments, times


def pieces_of_a_step(
    gan: training.GAN, batch: int, shape: Sequence[int] = (28, 28, 1)
) -> dict[str, Piece]:
    """The pieces of `training.train_step`, with inputs and how often a step has each.

    Args:
      gan: what is trained.
      batch: real examples of a discriminator step.
      shape: of an image.

    Returns:
      Name to piece; "whole step" is the step itself.
    """
    images = jnp.asarray(worker.random_images(_EXAMPLES, shape))
    state = training.init_state(gan, jax.random.key(0), images.shape[1:])
    chosen = jnp.arange(batch * gan.critic_steps).reshape(gan.critic_steps, batch)
    real = training.scale_images(images[chosen])
    key = jax.random.key(1)

    def data(key: jax.Array, images: jax.Array, chosen: jax.Array) -> Any:
        z = latents(gan, jax.random.split(key, batch), jnp.float32)
        return training.scale_images(images[chosen]), z

    def generator(state: training.GANState, z: jax.Array) -> Any:
        player = state.generator
        return apply(gan.generator, player, player.params, z, None)

    def score(params: Any, x: jax.Array) -> jax.Array:
        player = state.discriminator
        return apply(gan.discriminator, player, params, x, None)[0]

    @jax.grad
    def discriminator(params: Any, real: jax.Array, fake: jax.Array) -> jax.Array:
        logits = score(params, jnp.concatenate([real, fake]))
        return gan.loss.discriminator(*jnp.split(logits, 2))

    @jax.grad
    def penalty(params: Any, real: jax.Array, fake: jax.Array, key: Any) -> jax.Array:
        critic = partial(score, params)
        return gan.penalty(critic, real, fake, jax.random.split(key, batch), None)

    def generator_step(state: training.GANState, real: jax.Array, key: Any) -> Any:
        return training.generator_gradients(gan, state, real, key)[0]

    def optimise(optimiser: Any) -> Callable[..., Any]:
        return lambda player, gradients: update(optimiser, player, gradients)

    def step(state: training.GANState, real: jax.Array) -> Any:
        return training.train_step(gan, state, real)

    _, z = data(key, images, chosen[0])
    fake, _ = generator(state, z)
    d, g, n = state.discriminator, state.generator, gan.critic_steps
    pieces = {
        "data, latents": (data, (key, images, chosen[0]), n),
        "G forward": (generator, (state, z), n),
        "D on real and fake": (discriminator, (d.params, real[0], fake), n),
        "penalty": (penalty, (d.params, real[0], fake, key), n),
        "D optimiser": (optimise(gan.discriminator_optimiser), (d, d.params), n),
        "G gradients": (generator_step, (state, real[0], key), 1),
        "G optimiser": (optimise(gan.generator_optimiser), (g, g.params), 1),
        "whole step": (step, (state, real), 1),
    }
    if gan.penalty is None:
        del pieces["penalty"]
    return pieces


def profile(
    loss: str, batch: int, rounds: int, shape: tuple[int, int, int] = (28, 28, 1)
) -> dict[str, Any]:
    """Times the pieces of a loss's step, alternating.

    Args:
      loss: name in `gan_jax.losses.LOSSES`, of the published recipe.
      batch: real examples of a discriminator step.
      rounds: how often each piece has its turn.
      shape: of an image.

    Returns:
      The two measured rates, and of each piece how often a step has it, its median
      milliseconds and its floor in a step, GFLOP and MB.
    """
    recipe = recipes.recipe(loss)
    pieces = pieces_of_a_step(recipes.make_gan(recipe, shape=shape), batch, shape)
    programs = {
        name: (jax.jit(function).lower(*inputs).compile(), inputs)
        for name, (function, inputs, _) in pieces.items()
    }
    measure_rates = machine.rate_meter(recipe.precision)
    rates: list[dict[str, float]] = []
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + 1):
        if turn:
            rates.append(measure_rates())
        for name, (program, inputs) in programs.items():
            started = time.perf_counter()
            for _ in range(_CALLS):  # one after the other, as in training
                jax.block_until_ready(program(*inputs))
            if turn:  # the first warms up
                times[name].append((time.perf_counter() - started) / _CALLS)
    median = {name: statistics.median(values) for name, values in times.items()}
    flops_per_s = statistics.median(rate["flops"] for rate in rates)
    bytes_per_s = statistics.median(rate["bytes"] for rate in rates)
    measured = {}
    for name, (_, inputs, count) in pieces.items():
        flops = programs[name][0].cost_analysis()["flops"]
        moved = _optimiser_bytes(*inputs) if "optimiser" in name else 0
        floor = moved / bytes_per_s if moved else flops / flops_per_s
        measured[name] = {
            "times": count,
            "ms": 1e3 * count * median[name],
            "floor_ms": 1e3 * count * floor,
            "gflop": count * flops / 1e9,
            "mb": count * moved / 1e6,
        }
    whole = measured.pop("whole step")
    together = {key: sum(piece[key] for piece in measured.values()) for key in whole}
    rest = {"times": 1, "ms": whole["ms"] - together["ms"]}
    measured["rest"] = dict.fromkeys(whole, 0.0) | rest
    measured["whole step"] = together | {"times": 1, "ms": whole["ms"]}
    giga = {"gflop_per_s": flops_per_s / 1e9, "gb_per_s": bytes_per_s / 1e9}
    return {"loss": loss, **giga, "pieces": measured}


def _optimiser_bytes(player: training.Player, gradients: Any) -> int:
    """Gradients are read; parameters and moments are read and written."""

    def size(tree: Any) -> int:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))

    return size(gradients) + 2 * size((player.params, player.optimiser))
