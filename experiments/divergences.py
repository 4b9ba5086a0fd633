"""How divergences behave when data and model hardly overlap, and their gradients.

    python -m experiments.divergences

Data N(0, e^2), model N(t, e^2): as e shrinks KL and its gradient go to infinity, JS and
the total variation to a constant with no gradient, and W1 is |t| with gradient 1
whatever e is. Closed forms, quadrature, and trained discriminators that only see
samples, over a grid of t and e (docs/divergences.md).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments import cli, theory
from gan_jax import claims, fitting, plots
from gan_jax.data import mixtures
from gan_jax.evaluation import transport
from gan_jax.losses import LOSSES, GANLoss
from gan_jax.penalties import one_sided_gradient_penalty
from gan_jax.theory import divergences, generator, lipschitz

flags.adopt_module_key_flags(theory)

_WIDTHS = np.array([1.0, 0.5, 0.25, 0.1], np.float32)
_DISTANCES = np.array([0.25, 0.5, 1.0, 2.0], np.float32)


def _quadrature(measure: Callable[..., jax.Array], t: Any, e: Any) -> jax.Array:
    """A divergence of N(t, e^2) from N(0, e^2), without its closed form."""
    grid = jnp.linspace(-12 * e, 12 * e + jax.lax.stop_gradient(t), 4001)
    model, data = (jax.scipy.stats.norm.logpdf(grid, mean, e) for mean in (t, 0.0))
    return measure(model, data, grid)


# Closed forms and their derivatives by t; JS has none but an integral. KL is the same
# in both directions, as the widths are.
_VALUES = {
    "KL": lambda t, e: divergences.gaussian_kl(t, e, 0.0, e),
    "JS": partial(_quadrature, divergences.jensen_shannon),
    "TV": divergences.gaussian_total_variation,
    "W1": lambda t, e: divergences.gaussian_wasserstein(t, e, 0.0, e),
}
_GRADIENTS = {
    "KL": lambda t, e: divergences.gaussian_kl_gradient(t, 0.0, e),
    "JS": jax.grad(_VALUES["JS"]),
    "TV": divergences.gaussian_total_variation_gradient,
    "W1": lambda t, e: jnp.sign(t),
}


def measure(seed: int, quick: bool) -> tuple[list[claims.Claim], Any]:
    """Closed forms against integrals, and trained discriminators against both."""
    names = tuple(_VALUES)
    titles = (*names, *(f"|d {name} / dt|" for name in names))
    figure, axes = plots.subplots(titles, columns=4)
    key = jax.random.key(seed)
    found = [*_integrals(key), *_limits(), *_trained(axes, key, quick)]
    fine = np.linspace(0.01, 2.2, 220, dtype=np.float32)
    for i, name in enumerate(names):
        for j, e in enumerate(_WIDTHS):
            for panel, function in ((i, _VALUES[name]), (i + 4, _GRADIENTS[name])):
                curve = jax.jit(jax.vmap(function, (0, None)))(fine, e)
                label = f"e = {e:g}" if i == 0 else None
                axes[panel].plot(fine, curve, f"C{j}", label=label)
                axes[panel].set(xlabel="distance t")
        if name == "KL":
            axes[i].set(yscale="log", ylim=(0.02, 500))
            axes[i + 4].set(yscale="log", ylim=(0.1, 500))
    axes[5].set(yscale="log", ylim=(1e-5, 10))
    axes[6].set(yscale="log", ylim=(1e-5, 10))
    for panel in (3, 7):
        axes[panel].set(ylim=(0, 2.3))
    return found, figure


def _over_grid(function: Callable[..., Any]) -> Any:
    """``function(t, e)`` for all of them: ``[widths, distances]``."""
    each = jax.vmap(jax.vmap(function, (0, None)), (None, 0))
    return jax.device_get(jax.jit(each)(_DISTANCES, _WIDTHS))


def _integrals(key: jax.Array) -> list[claims.Claim]:
    """Closed forms against derivations that know nothing of them."""

    def by_quantiles(t: jax.Array, e: jax.Array) -> jax.Array:
        z = generator.quantiles(20_000)
        # The optimal logit, log model - log data, at the model's and at the data's.
        logits = [(x**2 - (x - t) ** 2) / (2 * e**2) for x in (t + e * z, e * z)]
        return jnp.log(2) - LOSSES["minimax"].discriminator(*logits) / 2

    def gap(first: Any, second: Any) -> float:
        return np.abs(_over_grid(first) / _over_grid(second) - 1).max()

    kl, tv, w1 = (
        partial(_quadrature, measure)
        for measure in (
            divergences.kl,
            divergences.total_variation,
            divergences.wasserstein,
        )
    )
    found = [
        claims.equal(f"{what}: closed form / integral - 1, largest", 0, value, 1e-3)
        for what, value in (
            ("KL", gap(_VALUES["KL"], kl)),
            ("JS", gap(_VALUES["JS"], by_quantiles)),
            ("TV", gap(_VALUES["TV"], tv)),
            ("W1", gap(_VALUES["W1"], w1)),
            ("d KL / dt", gap(_GRADIENTS["KL"], jax.grad(kl))),
            ("d W1 / dt", gap(_GRADIENTS["W1"], jax.grad(w1))),
        )
    ]
    keys = jax.random.split(key)
    x = mixtures.gaussian([1.0], 2.0).sample(keys[0], 100_000)
    y = mixtures.gaussian([0.0], 1.0).sample(keys[1], 100_000)
    exact = divergences.gaussian_wasserstein(1.0, 2.0, 0.0, 1.0)
    what = "W1 of N(1, 4) and N(0, 1): 100,000 sorted samples"
    return [*found, claims.close(what, exact, transport.wasserstein(x, y), 0.02)]


def _limits() -> list[claims.Claim]:
    """At distance 1, with next to no overlap."""
    t, e = 1.0, 0.02
    values, slopes = (
        {name: jax.jit(function)(t, e) for name, function in table.items()}
        for table in (_VALUES, _GRADIENTS)
    )
    where = f"t = {t:g}, e = {e:g}"
    return [
        claims.close(f"{where}: KL = t^2 / 2 e^2", 1250, values["KL"], 1e-4),
        claims.close(f"{where}: d KL / dt = t / e^2", 2500, slopes["KL"], 1e-4),
        claims.close(f"{where}: JS = log 2", np.log(2), values["JS"], 1e-4),
        claims.equal(f"{where}: d JS / dt", 0, slopes["JS"], 1e-6),
        claims.close(f"{where}: TV", 1, values["TV"], 1e-4),
        claims.equal(f"{where}: d TV / dt", 0, slopes["TV"], 1e-6),
        claims.close(f"{where}: W1 = t", 1, values["W1"], 1e-4),
        claims.close(f"{where}: d W1 / dt", 1, slopes["W1"], 1e-4),
    ]


def _trained(axes: Any, key: jax.Array, quick: bool) -> list[claims.Claim]:
    steps, batch, weight = (500, 128, 10.0) if quick else (1500, 256, 100.0)

    def train(t: jax.Array, e: jax.Array, loss: GANLoss, **penalty: Any) -> Any:
        """The discriminator's loss, E h of data and fakes, the generators' slopes."""
        data, model = mixtures.gaussian([0.0], e), mixtures.gaussian(t[None], e)
        logit, _ = fitting.tell_apart(
            key, data, model, loss, num_steps=steps, batch_size=batch, **penalty
        )
        # The same noise for both: what differs between them is then t alone.
        z = jax.random.normal(jax.random.fold_in(key, 1), (20_000, 1))
        real = logit(e * z)

        def generators(t: jax.Array) -> jax.Array:
            fake = logit(t + e * z)
            names = ("kl", "minimax")
            return jnp.stack([LOSSES[name].generator(real, fake) for name in names])

        fake = logit(t + e * z)
        value = loss.discriminator(real, fake)
        return value, jnp.stack([real.mean(), fake.mean()]), jax.jacfwd(generators)(t)

    def unpenalised(t: jax.Array, e: jax.Array) -> Any:
        names = ("minimax", "hinge")
        by_loss = jax.vmap(lambda i: train(t, e, fitting.one_of(names, i)))
        return by_loss(jnp.arange(2))

    def penalised(t: jax.Array, e: jax.Array) -> Any:
        # The two-sided penalty would trap some critics at the wrong slope of +-1.
        penalty = {"penalty": one_sided_gradient_penalty, "penalty_weight": weight}
        return train(t, e, LOSSES["wasserstein_gp"], **penalty)

    loss, logits, slope = _over_grid(unpenalised)
    minus_gap, _, critic_slope = _over_grid(penalised)
    measured = {
        "KL": (-logits[..., 0, 1], slope[..., 0, 0]),
        "JS": (np.log(2) - loss[..., 0] / 2, slope[..., 0, 1] / 2),
        "TV": (1 - loss[..., 1] / 2, slope[..., 1, 0] / 2),
        "W1": (-minus_gap, critic_slope[..., 0]),
    }
    forward = logits[..., 0, 0]
    for i, (value, slope) in enumerate(measured.values()):
        for j in range(len(_WIDTHS)):
            axes[i].plot(_DISTANCES, value[j], f"C{j}o", ms=4)
            axes[i + 4].plot(_DISTANCES, np.abs(slope[j]), f"C{j}o", ms=4)
    for j in range(len(_WIDTHS)):
        axes[0].plot(_DISTANCES, forward[j], f"C{j}x")
    return _of_trained(measured, forward, weight, quick)


def _of_trained(
    measured: dict[str, Any], forward: np.ndarray, weight: float, quick: bool
) -> list[claims.Claim]:
    value = {name: _over_grid(function) for name, function in _VALUES.items()}
    slope = {name: _over_grid(function) for name, function in _GRADIENTS.items()}
    # What a penalty of that weight makes of W1 and its slope.
    value["W1"] = lipschitz.penalised_gap(value["W1"], weight)
    slope["W1"] = lipschitz.penalised_slope(_over_grid(_VALUES["W1"]), weight)
    seen = value["KL"] < 3  # t < 2.4 e
    off = [
        {name: np.abs(measured[name][part] - closed[name]) for name in closed}
        for part, closed in enumerate((value, slope))
    ]
    loose = 2 if quick else 1
    errors = [
        ("JS", off[0]["JS"], 0.01),
        ("d JS / dt, of its peak", off[1]["JS"] / slope["JS"].max(), 0.05),
        ("TV", off[0]["TV"], 0.015),
        ("KL(model, data) below 3", off[0]["KL"][seen], 0.15),
        ("KL(data, model) below 3", np.abs(forward - value["KL"])[seen], 0.15),
        ("W1, relative", off[0]["W1"] / value["W1"], 0.03),
        ("d W1 / dt, relative", off[1]["W1"] / slope["W1"], 0.05),
    ]
    found = [
        claims.equal(
            f"{what}: trained, largest error", 0, error.max(), loose * tolerance
        )
        for what, error, tolerance in errors
    ]
    shown = measured["KL"][0][-1, -1]
    what = "KL = 200: trained; samples show little of it"
    return [*found, claims.at_most(what, 100, shown)]


main = partial(theory.main, "divergences", measure)

if __name__ == "__main__":
    cli.run(main)
