"""The training state and the one step that everything else is made of.

``train_step(gan, state, batch) -> (state, metrics)`` is pure. A run of steps is a
loop of it (`train_steps`), data parallelism a ``pmap`` of that loop
(`gan_jax.devices.parallel`), many seeds a ``vmap``. All randomness of step ``t``
comes from ``fold_in(state.key, t)`` and is drawn for the GLOBAL batch, one key per
example, so that neither the number of devices nor an interruption changes what is
computed.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from gan_jax import networks, penalties
from gan_jax.errors import UserError
from gan_jax.losses import GANLoss

Array = jax.Array
Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class GAN:
    """What to train: a loss, a penalty, two networks, two optimisers.

    Attributes:
      loss: what each player minimises.
      generator: Linen module, ``(z, train=) -> [batch, ...]``; where conditional,
        ``(z, labels, train=)``.
      discriminator: Linen module, ``(x, train=) -> [batch]``; where conditional,
        ``(x, labels, train=)``.
      generator_optimiser: optax transformation.
      discriminator_optimiser: optax transformation.
      penalty: gradient penalty on the discriminator, or None.
      penalty_weight: factor of the penalty in the discriminator's loss.
      clip: bound of the discriminator's weights after each of its steps, or None.
      critic_steps: discriminator steps per generator step.
      latent_size: dimension of z.
      num_classes: of the labels of a conditional GAN, None for an unconditional one.
      ema_decay: decay of the moving average of the generator, or None for none; at
        step t it is at most t / (t + 9), so that the initial weights are forgotten.
      axis_name: name of the device axis to average over, None outside of ``pmap``.
    """

    loss: GANLoss
    generator: nn.Module
    discriminator: nn.Module
    generator_optimiser: optax.GradientTransformation
    discriminator_optimiser: optax.GradientTransformation
    penalty: penalties.Penalty | None = None
    penalty_weight: float = 0.0
    clip: float | None = None
    critic_steps: int = 1
    latent_size: int = 64
    num_classes: int | None = None
    ema_decay: float | None = None
    axis_name: str | None = None


class Examples(NamedTuple):
    """A data set in memory, on the device.

    Attributes:
      images: uint8, ``[examples, height, width, channels]``.
      labels: int32, ``[examples]``; a conditional GAN needs them, another leaves them.
    """

    images: Array
    labels: Array | None = None


class Player(struct.PyTreeNode):
    """A network in training: ``params``, other variables, optimiser state."""

    params: Any
    batch_stats: Any  # running statistics of batch norm; empty without one
    optimiser: optax.OptState


class GANState(struct.PyTreeNode):
    """Everything that training changes, and the key that decides the rest.

    Attributes:
      step: generator steps taken, int32 scalar.
      key: random key of the whole run; never changes.
      generator: `Player`.
      discriminator: `Player`.
      ema: moving averages of the generator's ``(params, batch_stats)``, or None.
    """

    step: Array
    key: Array
    generator: Player
    discriminator: Player
    ema: Any


def init_state(gan: GAN, key: Array, example_shape: tuple[int, ...]) -> GANState:
    """Initialises networks and optimisers.

    Args:
      gan: what to train.
      key: random key of the run: initial weights and every draw of training.
      example_shape: shape of one example, ``(28, 28, 1)``.

    Returns:
      The state before step 0.

    Raises:
      UserError: a penalised discriminator has layers that mix examples.
    """

    def player(variables: Any, optimiser: optax.GradientTransformation) -> Player:
        params = variables.get("params", {})  # a fixed generator has none
        stats = variables.get("batch_stats", {})
        return Player(params, stats, optimiser.init(params))

    @jax.jit  # one program instead of a hundred small ones
    def initialise(key: Array) -> GANState:
        keys = jax.random.split(key, 3)
        z = jnp.zeros((2, gan.latent_size))
        x = jnp.zeros((2, *example_shape))
        labels = _context(None if gan.num_classes is None else jnp.zeros(2, jnp.int32))
        generator = gan.generator.init(keys[0], z, *labels, train=True)
        discriminator = gan.discriminator.init(keys[1], x, *labels, train=True)
        if gan.penalty is not None:
            penalties.refuse_mixing_layers(discriminator)
        averaged = (generator.get("params", {}), generator.get("batch_stats", {}))
        return GANState(
            step=jnp.zeros((), jnp.int32),
            key=keys[2],
            generator=player(generator, gan.generator_optimiser),
            discriminator=player(discriminator, gan.discriminator_optimiser),
            # A copy: a buffer cannot be donated twice.
            ema=None if gan.ema_decay is None else jax.tree.map(jnp.copy, averaged),
        )

    return initialise(key)


def generate(gan: GAN, state: GANState, z: Array, labels: Array | None = None) -> Array:
    """Samples for evaluation: moving averages where kept, batch norm's running ones.

    Args:
      gan: what is trained.
      state: at any step.
      z: latents, ``[batch, latent]``.
      labels: int32 ``[batch]``, where the GAN is conditional.

    Returns:
      ``[batch, ...]``.
    """
    params, batch_stats = state.ema or (
        state.generator.params,
        state.generator.batch_stats,
    )
    variables = {"params": params, "batch_stats": batch_stats}
    return gan.generator.apply(variables, z, *_context(labels), train=False)


def check_batch(gan: GAN, batch_size: int) -> None:
    """Refuses, before anything is compiled, a batch that the generator cannot take.

    Args:
      gan: what to train, without a device axis.
      batch_size: of the global batch.

    Raises:
      UserError: batch norm is over a single number.
    """

    def initialise() -> Any:
        z = jnp.zeros((1, gan.latent_size))
        labels = _context(None if gan.num_classes is None else jnp.zeros(1, jnp.int32))
        return gan.generator.init(jax.random.key(0), z, *labels, train=True)

    if batch_size == 1:
        with networks.refuse_lone_numbers(batch_size):
            jax.eval_shape(initialise)


def _context(labels: Array | None) -> tuple[Array, ...]:
    """What a network takes beside its input: an unconditional one knows no labels."""
    return () if labels is None else (labels,)


def _apply(
    network: nn.Module, player: Player, params: Any, x: Array, labels: Array | None
) -> tuple[Array, Any]:
    """Applies a network in training: ``(output, new batch_stats)``.

    Raises:
      UserError: batch norm is over a single number.
    """
    inputs = (x, *_context(labels))
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


def _latents(gan: GAN, keys: Array, dtype: jnp.dtype) -> Array:
    """``z ~ N(0, I)``, ``[batch, latent]``, each example from its own key."""
    return jax.vmap(lambda k: jax.random.normal(k, (gan.latent_size,), dtype))(keys)


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
    z = _latents(gan, _local_keys(gan, latent_key, batch), real.dtype)
    fake, generator_stats = _apply(
        gan.generator, state.generator, state.generator.params, z, labels
    )
    player = state.discriminator

    def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        if player.batch_stats:
            score = partial(_apply, gan.discriminator)
            real_logits, stats = score(player, params, real, labels)
            moved = player.replace(batch_stats=stats)
            fake_logits, stats = score(moved, params, fake, labels)
        else:  # one pass over both: larger products, the weights read once
            both = jnp.concatenate([real, fake.astype(real.dtype)])
            twice = None if labels is None else jnp.concatenate([labels, labels])
            logits, stats = _apply(gan.discriminator, player, params, both, twice)
            real_logits, fake_logits = jnp.split(logits, 2)
        value = gan.loss.discriminator(real_logits, fake_logits)
        metrics = {
            "d_loss": value,
            "real_logit": jnp.mean(real_logits),
            "fake_logit": jnp.mean(fake_logits),
        }
        if gan.penalty is not None:

            def score_batch(x: Array, labels: Array | None = None) -> Array:
                return _apply(gan.discriminator, player, params, x, labels)[0]

            critic = penalties.BatchCritic(score_batch)
            keys = _local_keys(gan, penalty_key, batch)
            penalty = gan.penalty(critic, real, fake.astype(real.dtype), keys, labels)
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
    z = _latents(gan, _local_keys(gan, key, real.shape[0]), real.dtype)

    def loss(params: Any) -> tuple[Array, tuple[Metrics, Any]]:
        fake, stats = _apply(gan.generator, player, params, z, labels)
        opponent = state.discriminator
        score = partial(_apply, gan.discriminator, opponent, opponent.params)
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


def _update(
    optimiser: optax.GradientTransformation, player: Player, gradients: Any
) -> Player:
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

    def critic_step(
        state: GANState, inputs: tuple[Array, Array, Array | None]
    ) -> tuple[GANState, Metrics]:
        gradients, metrics, state = discriminator_gradients(gan, state, *inputs)
        player = _update(gan.discriminator_optimiser, state.discriminator, gradients)
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
    player = _update(gan.generator_optimiser, state.generator, gradients)
    state = state.replace(step=state.step + 1, generator=player)
    if gan.ema_decay is not None:
        averaged = (player.params, player.batch_stats)
        # The longest memory that has not yet seen the initial weights for too long.
        taken = state.step.astype(jnp.float32)
        decay = jnp.minimum(gan.ema_decay, taken / (taken + 9))
        ema = optax.incremental_update(averaged, state.ema, 1 - decay)
        state = state.replace(ema=ema)
    return state, metrics | more


def scale_images(images: Array, dtype: jnp.dtype = jnp.float32) -> Array:
    """uint8 pixels to [-1, 1]."""
    return images.astype(dtype) / 127.5 - 1


def to_uint8(images: Array) -> Array:
    """Pixels in [-1, 1], clipped to it, to uint8: the inverse of `scale_images`."""
    pixels = jnp.rint((images.astype(jnp.float32) + 1) * 127.5)
    return jnp.clip(pixels, 0, 255).astype(jnp.uint8)


def steps_per_epoch(gan: GAN, num_examples: int, batch_size: int) -> int:
    """Generator steps in a pass over the data; the remainder is dropped.

    Raises:
      UserError: the data set is too small for one step.
    """
    steps = num_examples // (batch_size * gan.critic_steps)
    if steps == 0:
        raise UserError(
            f"one step takes {gan.critic_steps} x {batch_size} examples and the data"
            f" set has {num_examples}: use a smaller --batch_size"
        )
    return steps


def epoch_permutation(key: Array, epoch: int, num_examples: int) -> Array:
    """The order of the examples in an epoch: a pure function, nothing to save.

    Args:
      key: the run's key (`GANState.key`).
      epoch: number of the epoch, from 0.
      num_examples: size of the data set.

    Returns:
      ``[num_examples]`` int32, a permutation of ``range(num_examples)``.
    """
    # Steps fold in 0, 1, 2...: data take their own branch of the key.
    key = jax.random.fold_in(jax.random.fold_in(key, 2**32 - 1), epoch)
    return jax.random.permutation(key, num_examples)


def train_steps(
    gan: GAN,
    state: GANState,
    examples: Examples,
    order: Array,
    num_steps: Array,
    shard: Array,
    first: Array | int = 0,
    *,
    batch_size: int,
    capacity: int,
) -> tuple[GANState, Metrics]:
    """Takes ``num_steps`` steps within one epoch, as one compiled loop.

    The examples are the whole data set, or a block of it that serves a few steps
    (`parallel.compile_block_steps`).

    The bound of the loop is dynamic: one program serves every chunk, however long,
    and so the same bits come out however a run was cut into chunks. (With ``scan``,
    each chunk length is a program of its own, to compile and to round differently.)

    Args:
      gan: what to train.
      state: before the first step.
      examples: on the device.
      order: int32, which of them each step takes, one global batch after another: the
        epoch's `epoch_permutation`.
      num_steps: int32 scalar, at most ``capacity``.
      shard: int32 scalar: which part of each global batch is this device's.
      first: int32 scalar: the step that ``order`` begins with, or that and a number of
        times that ``order`` was gone through.
      batch_size: examples of this device in a batch; static.
      capacity: length of the returned metrics; static.

    Returns:
      The state after the steps, and each metric as ``[capacity]``, of which the first
      ``num_steps`` are filled.
    """
    devices = 1 if gan.axis_name is None else jax.lax.axis_size(gan.axis_name)
    consumed = batch_size * devices * gan.critic_steps
    per_order = order.shape[0] // consumed
    dtype = jax.tree.leaves(state.generator.params)[0].dtype

    def step(state: GANState) -> tuple[GANState, Metrics]:
        start = (state.step - first) % per_order * consumed
        index = jax.lax.dynamic_slice_in_dim(order, start, consumed)
        index = index.reshape(gan.critic_steps, devices, batch_size)[:, shard]
        images, labels = jax.tree.map(lambda array: array[index], examples)
        return train_step(gan, state, scale_images(images, dtype), labels)

    shapes = jax.eval_shape(step, state)[1]
    log = jax.tree.map(lambda s: jnp.zeros((capacity,), s.dtype), shapes)

    def body(i: Array, carry: tuple[GANState, Metrics]) -> tuple[GANState, Metrics]:
        state, log = carry
        state, metrics = step(state)
        return state, jax.tree.map(lambda a, m: a.at[i].set(m), log, metrics)

    return jax.lax.fori_loop(0, num_steps, body, (state, log))
