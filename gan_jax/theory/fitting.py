"""Training on distributions: fresh samples each step, and objectives of few numbers.

`train` is a scan of `training.train_step`, the one that trains on images. A generator
that is not to be trained is a `Fixed` one: then the discriminator is brought to its
optimum against a distribution that is known. ``vmap`` any of it over keys and numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from gan_jax import networks, training
from gan_jax.data.mixtures import Mixture, repeat
from gan_jax.losses import LOSSES, GANLoss
from gan_jax.training import GAN, GANState, Metrics

Array = jax.Array
Sampler = Callable[[Array, int], Any]


class Fixed(nn.Module):
    """A generator without parameters: a known function of the latents.

    Attributes:
      function: latents ``[batch, latent]`` to examples ``[batch, ...]``; of a
        conditional GAN, latents and labels.
    """

    function: Callable[..., Array]

    def __call__(
        self, z: Array, labels: Array | None = None, *, train: bool = True
    ) -> Array:
        """``[batch, latent]`` to ``[batch, ...]``; ``train`` is not used."""
        del train
        return self.function(z) if labels is None else self.function(z, labels)


def against(
    function: Callable[..., Array],
    discriminator: nn.Module,
    loss: str | GANLoss,
    optimiser: optax.GradientTransformation,
    *,
    latent_size: int,
    **attributes: Any,
) -> GAN:
    """A GAN whose generator is fixed: only its discriminator is trained.

    Args:
      function: latents to fakes, as in `Fixed`.
      discriminator: Linen module.
      loss: name in `LOSSES`, or another.
      optimiser: of the discriminator.
      latent_size: dimension of z.
      **attributes: more of `GAN`: penalty, clip, num_classes...

    Returns:
      What `train` and `training.init_state` take.
    """
    return GAN(
        loss=LOSSES[loss] if isinstance(loss, str) else loss,
        generator=Fixed(function),
        discriminator=discriminator,
        generator_optimiser=optax.identity(),
        discriminator_optimiser=optimiser,
        latent_size=latent_size,
        **attributes,
    )


def one_of(names: Sequence[str], index: Array) -> GANLoss:
    """A loss chosen by a number, so that ``vmap`` can sweep losses in one program.

    Args:
      names: in `LOSSES`.
      index: int32 scalar: which of them.

    Returns:
      The loss; swept, each of them is computed and one is kept, which for scalars of a
      few logits costs next to nothing.
    """
    players = zip(*(LOSSES[name] for name in names), strict=True)
    return GANLoss(*(partial(jax.lax.switch, index, player) for player in players))


def train(
    gan: GAN, state: GANState, sample: Sampler, *, num_steps: int, batch_size: int
) -> tuple[GANState, Metrics]:
    """Takes steps of `training.train_step`, each on new real examples.

    Args:
      gan: what to train.
      state: before the first step; what is drawn depends on its key and step alone.
      sample: ``(key, count) -> [count, ...]``, or a pair of examples and labels.
      num_steps: generator steps.
      batch_size: real examples of a discriminator step.

    Returns:
      The state after the steps, and each metric as ``[num_steps]``.
    """

    def body(state: GANState, _: None) -> tuple[GANState, Metrics]:
        # The step folds in its own number: data take their own branch of the key.
        key = jax.random.fold_in(jax.random.fold_in(state.key, 2**32 - 1), state.step)
        drawn = sample(key, gan.critic_steps * batch_size)
        examples, labels = drawn if isinstance(drawn, tuple) else (drawn, None)

        def in_turns(array: Array) -> Array:
            return array.reshape(gan.critic_steps, batch_size, *array.shape[1:])

        labels = None if labels is None else in_turns(labels)
        return training.train_step(gan, state, in_turns(examples), labels)

    return jax.lax.scan(body, state, None, num_steps)


def tell_apart(
    key: Array,
    data: Mixture,
    model: Mixture,
    loss: str | GANLoss,
    *,
    num_steps: int,
    batch_size: int,
    discriminator: nn.Module | None = None,
    **attributes: Any,
) -> tuple[Callable[[Array], Array], Metrics]:
    """Brings a discriminator between two known distributions to its optimum.

    Adam goes from 1e-2 down to 0.

    Args:
      key: random key of weights and samples.
      data: what is real.
      model: what is generated, of the same dimension.
      loss: name in `LOSSES`, or another.
      num_steps: steps of the discriminator.
      batch_size: real examples of each; as many fakes.
      discriminator: Linen module; an `MLPDiscriminator` with two hidden layers of 64 by
        default.
      **attributes: more of `GAN`: penalty, penalty_weight, clip...

    Returns:
      The trained logit, ``[batch, dimension] -> [batch]``, and each metric of training
      as ``[num_steps]``.
    """
    dimension = data.means.shape[-1]
    gan = against(
        model.transform,
        discriminator or networks.MLPDiscriminator((64, 64)),
        loss,
        decaying_adam(1e-2, num_steps),
        latent_size=1 + dimension,
        **attributes,
    )
    state = training.init_state(gan, key, (dimension,))
    state, metrics = train(
        gan, state, data.sample, num_steps=num_steps, batch_size=batch_size
    )
    return partial(training.score, gan, state), metrics


def gap(
    logit: Callable[[Array], Array],
    key: Array,
    data: Mixture,
    model: Mixture,
    count: int = 100_000,
) -> Array:
    """``E logit(real) - E logit(fake)`` of new samples: what a critic says W1 is.

    Args:
      logit: ``[batch, dimension] -> [batch]``.
      key: random key.
      data: what is real.
      model: what is generated.
      count: samples of each.

    Returns:
      Scalar.
    """
    keys = jax.random.split(key)
    real, fake = data.sample(keys[0], count), model.sample(keys[1], count)
    return logit(real).mean() - logit(fake).mean()


def minimise(
    objective: Callable[[Any, Array], Array],
    params: Any,
    optimiser: optax.GradientTransformation,
    *,
    num_steps: int,
    key: Array,
) -> tuple[Any, Array]:
    """Stochastic gradient descent on an objective of its own random numbers.

    Args:
      objective: ``(params, key) -> scalar``.
      params: where to start, a pytree.
      optimiser: optax transformation.
      num_steps: steps.
      key: random key; each step gets its own.

    Returns:
      The params after the steps, and the values of the objective, ``[num_steps]``.
    """

    def body(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Array]:
        params, state = carry
        value, gradients = jax.value_and_grad(objective)(params, key)
        updates, state = optimiser.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), value

    start = (params, optimiser.init(params))
    (params, _), values = jax.lax.scan(body, start, jax.random.split(key, num_steps))
    return params, values


def decaying_adam(rate: float | Array, num_steps: int) -> optax.GradientTransformation:
    """Adam whose learning rate falls to 0 along a cosine: to end AT an optimum."""
    return optax.adam(optax.cosine_decay_schedule(rate, num_steps), b1=0.5, b2=0.99)


def stack(trees: Sequence[Any]) -> Any:
    """Pytrees of one structure as one, with a new first axis to ``vmap`` over."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def stack_pairs(
    pairs: Iterable[tuple[Mixture, Mixture]], components: int
) -> tuple[Mixture, Mixture]:
    """Pairs of data and model as two mixtures to ``vmap`` over.

    Args:
      pairs: of one dimension.
      components: Gaussians to write each mixture with, as in `mixtures.repeat`.

    Returns:
      Data and models, each with a first axis of the pairs.
    """
    sides = zip(*pairs, strict=True)
    data, models = (stack([repeat(m, components) for m in side]) for side in sides)
    return data, models
