"""One training step, the only place where loss, penalty, networks and optimisers meet.

``train_step(gan, state, batch) -> (state, metrics)`` is pure. All randomness of step
``t`` comes from ``fold_in(state.key, t)`` and is drawn for the GLOBAL batch, one key
per example, so that neither the number of devices nor an interruption changes what is
computed.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax import backend, networks, penalties
from gan_jax.training import averages
from gan_jax.training.augment import mirror
from gan_jax.training.draws import (
    OF_FAKE,
    OF_REAL,
    Draws,
    StepKeys,
    draw_discriminator,
    draw_generator,
    draw_step,
    local_keys,
    step_keys,
)
from gan_jax.training.state import GAN, GANState, Metrics, Player, context

Array = jax.Array


def apply(
    network: nn.Module, player: Player, params: Any, x: Array, labels: Array | None
) -> tuple[Array, Any]:
    """Applies a network in training: ``(output, new batch_stats)``.

    Raises:
      UserError: batch norm is over a single number.
    """
    inputs = (x, *context(labels))
    if not player.batch_stats:
        return network.apply({"params": params}, *inputs, train=True), {}
    variables = {"params": params, "batch_stats": player.batch_stats}
    with networks.refuse_lone_numbers(x.shape[0]):
        output, updated = network.apply(
            variables, *inputs, train=True, mutable="batch_stats"
        )
    return output, updated["batch_stats"]


def _augmented(gan: GAN, real: Array, fake: Array, key: Array) -> tuple[Array, Array]:
    """What the discriminator sees of images; each has a key of its own."""
    if gan.augment is None:
        return real, fake

    def change(images: Array, branch: int) -> Array:
        own = jax.random.fold_in(key, branch)
        return jax.vmap(gan.augment)(local_keys(gan, own, images.shape[0]), images)

    return change(real, OF_REAL), change(fake, OF_FAKE)


def _is_known_not_to_mix(gan: GAN) -> bool:
    """Whether the discriminator scores each image by itself, if without batch norm.

    Those of the project do; another may look at the batch as a whole, as by a standard
    deviation over it.
    """
    return type(gan.discriminator).__module__.startswith(f"{networks.__name__}.")


def _mean_over_devices(gan: GAN, tree: Any) -> Any:
    # XLA on CPU would copy every gradient to average it over one device.
    if gan.axis_name is None or jax.lax.axis_size(gan.axis_name) == 1:
        return tree
    return jax.lax.pmean(tree, gan.axis_name)


def _norm(tree: Any) -> Array:
    """Euclidean norm of all the numbers in a pytree; no square is stored."""
    leaves = jax.tree.leaves(tree)
    if leaves and backend.kind() == "gpu":  # two launches; else two of each leaf
        return jnp.linalg.norm(jnp.concatenate([leaf.ravel() for leaf in leaves]))
    # Else XLA would store those that it shares with Adam's.
    leaves = jax.lax.optimization_barrier(leaves)
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in leaves))


def _in_its_precision(function: Callable[..., Any]) -> Callable[..., Any]:
    """Has all that a function of a GAN computes traced in the GAN's precision."""

    @wraps(function)
    def traced(gan: GAN, *args: Any) -> Any:
        with backend.products(gan.products):
            return function(gan, *args)

    return traced


def discriminator_gradients(
    gan: GAN, state: GANState, real: Array, key: Array, labels: Array | None = None
) -> tuple[Any, Metrics, GANState]:
    """Gradients of the discriminator's loss and penalty on one batch.

    Args:
      gan: what to train.
      state: at any step.
      real: this device's examples, ``[batch, ...]``.
      key: random key of the global batch.
      labels: of the examples, int32 ``[batch]``, where the GAN is conditional: the
        fakes get the same, so that an interpolation has one label.

    Returns:
      Gradients like the discriminator's params, metrics, and the state with both
      networks' batch statistics moved on.
    """
    draws = draw_discriminator(gan, key, real.shape[0], real.dtype)
    return _discriminator_gradients(gan, state, real, draws, labels)


@_in_its_precision
def _discriminator_gradients(
    gan: GAN, state: GANState, real: Array, draws: Draws, labels: Array | None
) -> tuple[Any, Metrics, GANState]:
    fake, generator_stats = apply(
        gan.generator, state.generator, state.generator.params, draws.z, labels
    )
    player = state.discriminator
    real, fake = _augmented(gan, real, fake.astype(real.dtype), draws.key)

    def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        layer = penalties.mixing_layer(player.batch_stats)
        if layer or not _is_known_not_to_mix(gan):
            score = partial(apply, gan.discriminator)
            real_logits, stats = score(player, params, real, labels)
            moved = player.replace(batch_stats=stats) if layer else player
            fake_logits, stats = score(moved, params, fake, labels)
        else:  # one pass over both: larger products, the weights read once
            both = jnp.concatenate([real, fake])
            twice = None if labels is None else jnp.concatenate([labels, labels])
            logits, stats = apply(gan.discriminator, player, params, both, twice)
            real_logits, fake_logits = jnp.split(logits, 2)
        value = gan.loss.discriminator(real_logits, fake_logits)
        metrics = {
            "d_loss": value,
            "real_logit": jnp.mean(real_logits),
            "fake_logit": jnp.mean(fake_logits),
        }
        if gan.penalty is not None:

            def critic(x: Array, label: Array | None = None) -> Array:
                return apply(gan.discriminator, player, params, x, label)[0]

            penalty = gan.penalty(critic, real, fake, draws.penalty, labels)
            value = value + gan.penalty_weight * penalty
            metrics |= {"d_loss": value, "penalty": penalty}
        return value, (metrics, stats)

    gradients, (metrics, stats) = jax.grad(loss, has_aux=True)(player.params)
    gradients, metrics = _mean_over_devices(gan, (gradients, metrics))
    metrics["d_gradient_norm"] = _norm(gradients)
    state = state.replace(
        generator=state.generator.replace(batch_stats=generator_stats),
        discriminator=player.replace(batch_stats=stats),
    )
    return gradients, metrics, state


def generator_gradients(
    gan: GAN, state: GANState, real: Array, key: Array, labels: Array | None = None
) -> tuple[Any, Metrics, GANState]:
    """Gradients of the generator's loss on one batch.

    Arguments are those of `discriminator_gradients`. The loss of most GANs leaves
    ``real``, which then says how many examples are drawn.

    Returns:
      Gradients like the generator's params, metrics, and the state with the
      generator's batch statistics moved on.
    """
    draws = draw_generator(gan, key, real.shape[0], real.dtype)
    return _generator_gradients(gan, state, real, draws, labels)


@_in_its_precision
def _generator_gradients(
    gan: GAN, state: GANState, real: Array, draws: Draws, labels: Array | None
) -> tuple[Any, Metrics, GANState]:
    player = state.generator

    def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        fake, stats = apply(gan.generator, player, params, draws.z, labels)
        seen, fake = _augmented(gan, real, fake.astype(real.dtype), draws.key)
        opponent = state.discriminator
        score = partial(apply, gan.discriminator, opponent, opponent.params)
        fake_logits, _ = score(fake, labels)
        # Compiled away where the generator's loss does not look at real examples.
        real_logits, _ = score(seen, labels)
        value = gan.loss.generator(real_logits, fake_logits)
        return value, ({"g_loss": value}, stats)

    gradients, (metrics, stats) = jax.grad(loss, has_aux=True)(player.params)
    gradients, metrics = _mean_over_devices(gan, (gradients, metrics))
    metrics["g_gradient_norm"] = _norm(gradients)
    return (
        gradients,
        metrics,
        state.replace(generator=player.replace(batch_stats=stats)),
    )


def update(
    optimiser: optax.GradientTransformation, player: Player, gradients: Any
) -> Player:
    """The player after a step of its optimiser."""
    updates, opt_state = optimiser.update(gradients, player.optimiser, player.params)
    params = optax.apply_updates(player.params, updates)
    return player.replace(params=params, optimiser=opt_state)


def train_step(
    gan: GAN,
    state: GANState,
    real: Array,
    labels: Array | None = None,
    keys: StepKeys | None = None,
) -> tuple[GANState, Metrics]:
    """``critic_steps`` discriminator updates, then one generator update.

    The generator sees the updated discriminator. Pure: bind ``gan`` with
    ``functools.partial`` and jit it.

    Args:
      gan: what to train.
      state: before the step.
      real: this device's examples, ``[critic_steps, batch, ...]``: one batch for each
        discriminator update; the last also serves the generator's loss.
      labels: of the examples, int32 ``[critic_steps, batch]``; a conditional GAN needs
        them, another leaves them.
      keys: `step_keys` of this step, where they were made before.

    Returns:
      The state after the step and scalar metrics; those of the discriminator are of
      its last update.

    Raises:
      ValueError: the GAN is conditional and there are no labels.
    """
    if gan.num_classes is None:
        labels = None
    elif labels is None:
        raise ValueError("a conditional GAN needs the labels of its real examples")
    if keys is None:
        keys = step_keys(gan, state.key, state.step)
    batch = real.shape[1]
    if gan.mirror:
        own = jax.vmap(partial(local_keys, gan, local_batch=batch))(
            jax.random.split(jax.random.fold_in(keys.step, OF_REAL), gan.critic_steps)
        )
        real = jax.vmap(jax.vmap(mirror))(own, real)
    draws, last_draws = draw_step(gan, keys, batch, real.dtype)

    def critic_step(
        state: GANState, inputs: tuple[Array, Draws, Array | None]
    ) -> tuple[GANState, Metrics]:
        gradients, metrics, state = _discriminator_gradients(gan, state, *inputs)
        player = update(gan.discriminator_optimiser, state.discriminator, gradients)
        if gan.clip is not None:
            clipped = penalties.clip_weights(player.params, gan.clip)
            player = player.replace(params=clipped)
        return state.replace(discriminator=player), metrics

    inputs = (real, draws, labels)
    if gan.critic_steps == 1:
        state, metrics = critic_step(state, jax.tree.map(lambda x: x[0], inputs))
    else:
        state, metrics = jax.lax.scan(critic_step, state, inputs)
        metrics = jax.tree.map(lambda m: m[-1], metrics)
    last = None if labels is None else labels[-1]
    gradients, more, state = _generator_gradients(
        gan, state, real[-1], last_draws, last
    )
    player = update(gan.generator_optimiser, state.generator, gradients)
    state = state.replace(step=state.step + 1, generator=player)
    if gan.ema_decay is not None:
        averaged = (player.params, player.batch_stats)
        how = {"grows_from": gan.ema_grows_from, "warmup": gan.ema_warmup}
        decay = averages.decay(gan.ema_decay, state.step, **how)
        ema = optax.incremental_update(averaged, state.ema, 1 - decay)
        state = state.replace(ema=ema)
    return state, metrics | more
