"""One training step, the only place where loss, penalty, networks and optimisers meet.

``train_step(gan, state, batch) -> (state, metrics)`` is pure. All randomness of step
``t`` comes from ``fold_in(state.key, t)`` and is drawn for the GLOBAL batch, one key
per example, so that neither the number of devices nor an interruption changes what is
computed.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax import networks, penalties
from gan_jax.training.augment import mirror
from gan_jax.training.state import GAN, GANState, Metrics, Player, context

Array = jax.Array

# Branches of a key for augmentation: what is split off it are its first children.
_OF_REAL, _OF_FAKE = 2**32 - 1, 2**32 - 2


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


def _local_keys(gan: GAN, key: Array, local_batch: int) -> Array:
    """One key per example of this device's part of the global batch."""
    if gan.axis_name is None:
        return jax.random.split(key, local_batch)
    devices = jax.lax.axis_size(gan.axis_name)
    keys = jax.random.split(key, local_batch * devices)
    start = jax.lax.axis_index(gan.axis_name) * local_batch
    return jax.lax.dynamic_slice_in_dim(keys, start, local_batch)


def latents(gan: GAN, keys: Array, dtype: jnp.dtype) -> Array:
    """``z ~ N(0, I)``, ``[batch, latent]``, each example from its own key."""
    return jax.vmap(lambda k: jax.random.normal(k, (gan.latent_size,), dtype))(keys)


def _augmented(gan: GAN, images: Array, key: Array) -> Array:
    """What the discriminator sees of images; each has a key of its own."""
    if gan.augment is None:
        return images
    return jax.vmap(gan.augment)(_local_keys(gan, key, images.shape[0]), images)


def _mean_over_devices(gan: GAN, tree: Any) -> Any:
    # XLA on CPU would copy every gradient to average it over one device.
    if gan.axis_name is None or jax.lax.axis_size(gan.axis_name) == 1:
        return tree
    return jax.lax.pmean(tree, gan.axis_name)


def _norm(tree: Any) -> Array:
    """Euclidean norm of all the numbers in a pytree; no square is stored."""
    # Else XLA would store those that it shares with Adam's.
    tree = jax.lax.optimization_barrier(tree)
    return jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(tree)))


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
    latent_key, penalty_key = jax.random.split(key)
    batch = real.shape[0]
    z = latents(gan, _local_keys(gan, latent_key, batch), real.dtype)
    fake, generator_stats = apply(
        gan.generator, state.generator, state.generator.params, z, labels
    )
    player = state.discriminator
    real = _augmented(gan, real, jax.random.fold_in(key, _OF_REAL))
    fake = _augmented(gan, fake.astype(real.dtype), jax.random.fold_in(key, _OF_FAKE))

    def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        if penalties.mixing_layer(player.batch_stats):
            score = partial(apply, gan.discriminator)
            real_logits, stats = score(player, params, real, labels)
            moved = player.replace(batch_stats=stats)
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

            keys = _local_keys(gan, penalty_key, batch)
            penalty = gan.penalty(critic, real, fake, keys, labels)
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
    """Gradients of the generator's loss on one batch; as `discriminator_gradients`."""
    player = state.generator
    z = latents(gan, _local_keys(gan, key, real.shape[0]), real.dtype)
    real = _augmented(gan, real, jax.random.fold_in(key, _OF_REAL))

    def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        fake, stats = apply(gan.generator, player, params, z, labels)
        fake = _augmented(
            gan, fake.astype(real.dtype), jax.random.fold_in(key, _OF_FAKE)
        )
        opponent = state.discriminator
        score = partial(apply, gan.discriminator, opponent, opponent.params)
        fake_logits, _ = score(fake, labels)
        # Compiled away where the generator's loss does not look at real examples.
        real_logits, _ = score(real, labels)
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
    gan: GAN, state: GANState, real: Array, labels: Array | None = None
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
    key = jax.random.fold_in(state.key, state.step)
    critic_key, generator_key = jax.random.split(key)
    if gan.mirror:
        keys = jax.vmap(partial(_local_keys, gan, local_batch=real.shape[1]))(
            jax.random.split(jax.random.fold_in(key, _OF_REAL), gan.critic_steps)
        )
        real = jax.vmap(jax.vmap(mirror))(keys, real)

    def critic_step(
        state: GANState, inputs: tuple[Array, Array, Array | None]
    ) -> tuple[GANState, Metrics]:
        gradients, metrics, state = discriminator_gradients(gan, state, *inputs)
        player = update(gan.discriminator_optimiser, state.discriminator, gradients)
        if gan.clip is not None:
            clipped = penalties.clip_weights(player.params, gan.clip)
            player = player.replace(params=clipped)
        return state.replace(discriminator=player), metrics

    keys = jax.random.split(critic_key, gan.critic_steps)
    if gan.critic_steps == 1:
        only = jax.tree.map(lambda leaf: leaf[0], (real, keys, labels))
        state, metrics = critic_step(state, only)
    else:
        state, metrics = jax.lax.scan(critic_step, state, (real, keys, labels))
        metrics = jax.tree.map(lambda m: m[-1], metrics)
    last = None if labels is None else labels[-1]
    gradients, more, state = generator_gradients(
        gan, state, real[-1], generator_key, last
    )
    player = update(gan.generator_optimiser, state.generator, gradients)
    state = state.replace(step=state.step + 1, generator=player)
    if gan.ema_decay is not None:
        averaged = (player.params, player.batch_stats)
        # The longest memory that has not yet seen the initial weights for too long.
        taken = state.step.astype(jnp.float32)
        decay = jnp.minimum(gan.ema_decay, taken / (taken + 9))
        ema = optax.incremental_update(averaged, state.ema, 1 - decay)
        state = state.replace(ema=ema)
    return state, metrics | more
