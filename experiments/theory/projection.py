"""Why a projection discriminator has the form it has.

    python -m experiments.theory.projection

Classes that are unit Gaussians in feature space, with means mu_y (data) and nu_y
(model): the optimal logit is (mu_y - nu_y).phi + (|nu_y|^2 - |mu_y|^2) / 2, a row of a
matrix and a bias for each class. A trained projection discriminator converges to
that matrix, and with that sign (docs/projection.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from experiments.common import cli, experiment
from gan_jax import networks, plots, training
from gan_jax.theory import fitting, optimal_discriminator, theory_table

flags.adopt_module_key_flags(experiment)

_CLASSES, _FEATURES = 10, 8


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Trains projection discriminators on class-conditional Gaussians."""
    keys = jax.random.split(jax.random.key(seed), 3)
    mu, nu = 0.7 * jax.random.normal(keys[0], (2, _CLASSES, _FEATURES))
    nu = nu.at[0].set(mu[0])  # a class that the model has learnt
    weights, biases = optimal_discriminator.projection(mu, nu)
    steps, count = (2000, 2) if quick else (6000, 8)

    gan = _gan(nu, steps)
    train = jax.jit(jax.vmap(partial(_train, gan, mu, steps)))
    states = train(jax.random.split(keys[1], count))
    last = states.discriminator.params["Dense_0"]
    rows, offsets = last["kernel"].swapaxes(1, 2), last["bias"]
    lengths = jnp.linalg.norm(rows, axis=-1) * jnp.linalg.norm(weights, axis=-1)
    cosines = jnp.sum(rows * weights, axis=-1)[:, 1:] / lengths[:, 1:]

    right = jax.vmap(partial(_accuracy, gan, mu, nu, keys[2]))(states)
    best = optimal_discriminator.projection_accuracy(mu, nu)
    found = [
        theory_table.equal(
            f"matrix, {count} trained: largest RMS error",
            0,
            jnp.sqrt(jnp.mean((rows - weights) ** 2, (1, 2)).max()),
            0.05 if quick else 0.03,
        ),
        theory_table.equal(
            "biases: largest RMS error",
            0,
            jnp.sqrt(jnp.mean((offsets - biases) ** 2, 1).max()),
            0.1 if quick else 0.05,
        ),
        theory_table.equal(
            "cosine of row y and mu_y - nu_y, least", 1, cosines.min(), 0.01
        ),
        theory_table.equal(
            "length of the row of a class that is learnt, mu_y = nu_y",
            0,
            jnp.linalg.norm(rows[:, 0], axis=-1).max(),
            0.2 if quick else 0.1,
        ),
        theory_table.equal(
            "accuracy by class - Phi(|mu_y - nu_y| / 2), largest",
            0,
            jnp.abs(right - best).max(),
            0.014,  # four deviations of 20,000 examples
        ),
    ]
    titles = ("logits' coefficients", "mu - nu", "trained matrix", "accuracy by class")
    figure, axes = plots.subplots(titles, columns=4)
    axes[0].plot(weights.ravel(), rows[0].ravel(), ".", label="matrix")
    axes[0].plot(biases, offsets[0], "o", label="biases")
    axes[0].axline((0, 0), slope=1, **plots.THEORY)
    axes[0].set(xlabel="closed form", ylabel="trained")
    for panel, matrix in zip(axes[1:3], (weights, rows[0]), strict=True):
        panel.imshow(matrix, cmap="coolwarm", vmin=-2.5, vmax=2.5)
        panel.set(xlabel="feature", ylabel="class")
        panel.grid(visible=False)
    axes[3].plot(range(_CLASSES), best, **plots.THEORY, label="Phi(|mu - nu| / 2)")
    axes[3].plot(range(_CLASSES), right.T, ".", color="C0")
    axes[3].set(xlabel="class")
    return found, figure


def _accuracy(
    gan: training.GAN,
    mu: jax.Array,
    nu: jax.Array,
    key: jax.Array,
    state: training.GANState,
) -> jax.Array:
    """How often real and generated features are told apart, for each class."""
    noise = jax.random.normal(key, (2, _CLASSES, 10_000, _FEATURES))

    def of_class(label: jax.Array, real: jax.Array, fake: jax.Array) -> jax.Array:
        score = partial(training.score, gan, state, labels=jnp.full(10_000, label))
        hits = (score(mu[label] + real) > 0).mean() + (
            score(nu[label] + fake) < 0
        ).mean()
        return hits / 2

    return jax.vmap(of_class)(jnp.arange(_CLASSES), *noise)


def _gan(nu: jax.Array, steps: int) -> training.GAN:
    """A linear projection discriminator, against features nu_y + z."""
    return fitting.against(
        lambda z, labels: nu[labels] + z,
        networks.MLPDiscriminator((), num_classes=_CLASSES),
        "nonsaturating",
        fitting.decaying_adam(0.03, steps),
        latent_size=_FEATURES,
        num_classes=_CLASSES,
    )


def _train(
    gan: training.GAN, mu: jax.Array, steps: int, key: jax.Array
) -> training.GANState:
    """Trains it on features mu_y + noise, of all classes alike."""

    def sample(key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key)
        labels = jax.random.randint(keys[0], (count,), 0, _CLASSES)
        return mu[labels] + jax.random.normal(keys[1], (count, _FEATURES)), labels

    state = training.init_state(gan, key, (_FEATURES,))
    return fitting.train(gan, state, sample, num_steps=steps, batch_size=512)[0]


main = partial(experiment.main, "projection", measure)

if __name__ == "__main__":
    cli.run(main)
