"""GANs of points in the plane, trained a few steps at a time to be watched.

The idea is GAN Lab's: Kahng et al. 2019, https://arxiv.org/abs/1809.01587
"""

import dataclasses
import functools
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import networks, recipes, training
from gan_jax.data import mixtures
from gan_jax.errors import UserError, check_name
from gan_jax.evaluation.modes import modes
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.theory import fitting

Array = jax.Array

EXTENT = 3.0  # the square that is looked at goes from -3 to 3
SIDE = 64  # points of a side where the discriminator is asked
SHOWN = 400  # real points, and as many samples
BATCH, LATENT, HIDDEN = 128, 16, (64, 64)
_JUDGED = 2000  # samples whose modes are counted
_COMPONENTS = 1000  # of every mixture: one program for all of them
DATA = ("ring", "grid", "swiss_roll")
MODES = {"ring": 8, "grid": 25, "swiss_roll": 0}  # that can be counted

_mixtures = mixtures.once(
    lambda: {
        "ring": mixtures.ring(scale=0.05),
        "grid": mixtures.grid(spacing=1.0),
        "swiss_roll": mixtures.swiss_roll(),
    }
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained in the plane.

    Attributes:
      data: of `DATA`.
      loss: name in `LOSSES`.
      penalty: name in `PENALTIES`, or "none".
      penalty_weight: factor of the penalty.
      learning_rate: of both players.
      critic_steps: discriminator steps per generator step.
      seed: of weights, data and latents.
    """

    data: str = "ring"
    loss: str = "nonsaturating"
    penalty: str = "r1"
    penalty_weight: float = 0.1
    learning_rate: float = 10**-2.5
    critic_steps: int = 1
    seed: int = 0

    def check(self) -> None:
        """Refuses names and numbers that cannot be trained.

        Raises:
          UserError: one of them.
        """
        check_name("data", self.data, DATA)
        check_name("loss", self.loss, LOSSES)
        check_name("penalty", self.penalty, ("none", *PENALTIES))
        if not 0 <= self.penalty_weight < float("inf"):
            raise UserError(f"the penalty's weight is {self.penalty_weight}")
        if not 0 < self.learning_rate < float("inf"):
            raise UserError(f"the learning rate is {self.learning_rate}")
        if not 1 <= self.critic_steps <= 10:
            raise UserError(f"critic steps are {self.critic_steps}: take 1 to 10")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"the seed is {self.seed}: take 0 to 2^32 - 1")

    @property
    def _program(self) -> tuple[str, str, int]:
        return self.loss, self.penalty, self.critic_steps

    @property
    def _numbers(self) -> dict[str, float]:
        weight = self.penalty_weight if self.penalty != "none" else 0.0
        return {"penalty_weight": weight, "learning_rate": self.learning_rate}


def mixture(data: str) -> mixtures.Mixture:
    """The distribution of a data set of `DATA`."""
    return _mixtures()[data]


def _make(program: tuple[str, str, int], numbers: dict[str, Any]) -> training.GAN:
    """The recipe of the loss with small networks; numbers may be tracers."""
    loss, penalty, critic_steps = program
    recipe = recipes.recipe(loss, penalty=penalty, batch_size=BATCH, latent_size=LATENT)
    recipe = dataclasses.replace(
        recipe,
        critic_steps=critic_steps,
        penalty_weight=numbers["penalty_weight"],
        generator_lr=numbers["learning_rate"],
        discriminator_lr=numbers["learning_rate"],
        clip=None if recipe.clip is None else 0.1,
    )
    return recipes.make_gan(
        recipe,
        generator=networks.MLPGenerator(2, HIDDEN),
        discriminator=networks.MLPDiscriminator(HIDDEN),
    )


def start(setting: Setting) -> training.GANState:
    """The state before the first step.

    Raises:
      UserError: as `Setting.check`.
    """
    setting.check()
    return _start(setting._program, setting._numbers, setting.seed)


@partial(jax.jit, static_argnums=0)
def _start(
    program: tuple[str, str, int], numbers: dict[str, Any], seed: Array
) -> training.GANState:
    return training.init_state(_make(program, numbers), jax.random.key(seed), (2,))


def advance(
    setting: Setting, state: training.GANState, steps: int
) -> tuple[training.GANState, dict[str, float]]:
    """Takes generator steps.

    Args:
      setting: that the state was started with; learning rate, weight and data may have
        changed since.
      state: before them.
      steps: 1 or more.

    Returns:
      The state after them, and the metrics of the last.

    Raises:
      UserError: as `Setting.check`; the state is no longer finite.
    """
    setting.check()
    data = mixtures.repeat(mixture(setting.data), _COMPONENTS)
    state, metrics = _advance(setting._program, setting._numbers, state, data, steps)
    found = {name: float(value) for name, value in metrics.items()}
    if not all(np.isfinite(value) for value in found.values()):
        raise UserError(
            "the losses are no longer finite: reset, with a smaller learning rate or"
            " a penalty"
        )
    return state, found


@partial(jax.jit, static_argnums=0)
def _advance(
    program: tuple[str, str, int],
    numbers: dict[str, Any],
    state: training.GANState,
    data: mixtures.Mixture,
    steps: Array,
) -> tuple[training.GANState, training.Metrics]:
    gan = _make(program, numbers)

    @partial(jax.jit, inline=True)  # traced once, for its shapes and in the loop
    def one(state: training.GANState) -> tuple[training.GANState, training.Metrics]:
        return fitting.train(gan, state, data.sample, num_steps=1, batch_size=BATCH)

    def body(_: Array, carry: Any) -> Any:
        return one(carry[0])

    shapes = jax.eval_shape(one, state)[1]
    metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    state, metrics = jax.lax.fori_loop(0, steps, body, (state, metrics))
    return state, jax.tree.map(lambda leaf: leaf[0], metrics)


class Look(NamedTuple):
    """What there is to see of a GAN in the plane.

    Attributes:
      real: points of the data, ``[400, 2]``.
      samples: of the generator, ``[400, 2]``.
      pull: at each sample minus the gradient of the generator's loss by that sample,
        ``[400, 2]``: where a step of the generator moves it.
      surface: the discriminator's logits on the square, ``[64, 64]``, the first index
        along y.
      covered: modes with at least one good sample; 0 of data without modes.
      good: share of the samples within three deviations of a mode.
    """

    real: np.ndarray
    samples: np.ndarray
    pull: np.ndarray
    surface: np.ndarray
    covered: int
    good: float


def look(setting: Setting, state: training.GANState) -> Look:
    """Draws samples and asks the discriminator; the same latents at every step."""
    data = mixture(setting.data)
    found = _look(setting.loss, state, mixtures.repeat(data, _COMPONENTS))
    samples, *rest = jax.device_get(found)
    counted = _modes(samples, data) if MODES[setting.data] else None
    covered, good = (0, 0.0) if counted is None else map(np.asarray, counted[:2])
    real, pull, surface = rest
    return Look(real, samples[:SHOWN], pull, surface, int(covered), float(good))


_modes = jax.jit(modes)


@partial(jax.jit, static_argnums=0)
def _look(
    loss: str, state: training.GANState, data: mixtures.Mixture
) -> tuple[Array, Array, Array, Array]:
    gan = _make((loss, "none", 1), {"penalty_weight": 0.0, "learning_rate": 1.0})
    keys = jax.random.split(jax.random.fold_in(state.key, 2**32 - 2))
    z = jax.random.normal(keys[0], (_JUDGED, gan.latent_size))
    real = data.sample(keys[1], SHOWN)
    samples = training.generate(gan, state, z)
    logit = partial(training.score, gan, state)

    def loss_of(points: Array) -> Array:
        return SHOWN * gan.loss.generator(logit(real), logit(points))

    pull = -jax.grad(loss_of)(samples[:SHOWN])
    line = jnp.linspace(-EXTENT, EXTENT, SIDE)
    grid = jnp.stack(jnp.meshgrid(line, line), axis=-1)
    surface = logit(grid.reshape(-1, 2)).reshape(SIDE, SIDE)
    return samples, real, pull, surface


@functools.cache
def usual(loss: str) -> dict[str, Any]:
    """What a loss is trained with in the plane, where nobody says otherwise."""
    if loss == "wasserstein":
        return {"penalty": "none", "penalty_weight": 0.0, "critic_steps": 5}
    if loss == "wasserstein_gp":
        return {"penalty": "gradient_penalty", "penalty_weight": 0.3, "critic_steps": 2}
    return {"penalty": "r1", "penalty_weight": 0.1, "critic_steps": 1}
