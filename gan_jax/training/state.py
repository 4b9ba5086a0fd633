"""What is trained, the state of its training, and samples of a state."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from gan_jax import networks, penalties
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
      UserError: a penalised discriminator has layers that mix examples, or cannot take
        one without a batch axis.
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
        labels = context(None if gan.num_classes is None else jnp.zeros(2, jnp.int32))
        generator = gan.generator.init(keys[0], z, *labels, train=True)
        discriminator = gan.discriminator.init(keys[1], x, *labels, train=True)
        if gan.penalty is not None:
            penalties.refuse_mixing_layers(discriminator)
            critic = partial(gan.discriminator.apply, discriminator, train=True)
            penalties.refuse_batches_only(critic, *(leaf[0] for leaf in (x, *labels)))
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
    return gan.generator.apply(variables, z, *context(labels), train=False)


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
        labels = context(None if gan.num_classes is None else jnp.zeros(1, jnp.int32))
        return gan.generator.init(jax.random.key(0), z, *labels, train=True)

    if batch_size == 1:
        with networks.refuse_lone_numbers(batch_size):
            jax.eval_shape(initialise)


def context(labels: Array | None) -> tuple[Array, ...]:
    """What a network takes beside its input: an unconditional one knows no labels."""
    return () if labels is None else (labels,)
