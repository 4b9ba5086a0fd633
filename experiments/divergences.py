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
from gan_jax import claims, fitting, networks, plots, training
from gan_jax.data import mixtures
from gan_jax.evaluation import transport
from gan_jax.losses import LOSSES
from gan_jax.penalties import one_sided_gradient_penalty
from gan_jax.theory import divergences, fits, lipschitz

flags.adopt_module_key_flags(theory)

_WIDTHS = jnp.array([1.0, 0.5, 0.25, 0.1])
_DISTANCES = jnp.array([0.25, 0.5, 1.0, 2.0])


def _quadrature(measure: Callable[..., jax.Array], t: Any, e: Any) -> jax.Array:
    """A divergence of N(t, e^2) from N(0, e^2), without its closed form."""
    grid = jnp.linspace(-12 * e, 12 * e + jax.lax.stop_gradient(t), 4001)
    model, data = (jax.scipy.stats.norm.logpdf(grid, mean, e) for mean in (t, 0.0))
    return measure(model, data, grid)


# Closed forms and their derivatives by t; JS has none but an integral.
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
    fine = jnp.linspace(0.01, 2.2, 220)
    for i, name in enumerate(names):
        for j, e in enumerate(_WIDTHS):
            for panel, function in ((i, _VALUES[name]), (i + 4, _GRADIENTS[name])):
                curve = jax.vmap(function, (0, None))(fine, e)
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
    return jax.jit(each)(_DISTANCES, _WIDTHS)


def _integrals(key: jax.Array) -> list[claims.Claim]:
    """Closed forms against derivations that know nothing of them."""

    def by_quantiles(t: jax.Array, e: jax.Array) -> jax.Array:
        z = fits.quantiles(20_000)
        # The optimal logit, log model - log data, at the model's and at the data's.
        logits = [(x**2 - (x - t) ** 2) / (2 * e**2) for x in (t + e * z, e * z)]
        return jnp.log(2) - LOSSES["minimax"].discriminator(*logits) / 2

    def gap(first: Any, second: Any) -> jax.Array:
        return jnp.abs(_over_grid(first) / _over_grid(second) - 1).max()

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
    values = {name: function(t, e) for name, function in _VALUES.items()}
    slopes = {name: function(t, e) for name, function in _GRADIENTS.items()}
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
    steps, batch, weight = (1000, 256, 10.0) if quick else (1500, 256, 100.0)

    def train(t: jax.Array, e: jax.Array, loss: str, **penalty: Any) -> Any:
        data, model = mixtures.gaussian([0.0], e), mixtures.gaussian(t[None], e)
        gan = fitting.against(
            model.transform,
            networks.MLPDiscriminator((64, 64)),
            loss,
            fitting.decaying_adam(1e-2, steps),
            latent_size=2,
            **penalty,
        )
        state = training.init_state(gan, key, (1,))
        state, _ = fitting.train(
            gan, state, data.sample, num_steps=steps, batch_size=batch
        )
        z = jax.random.normal(jax.random.fold_in(key, 1), (2, 20_000, 1))
        real = fitting.critic(gan, state, e * z[0])

        def generator(t: jax.Array, name: str) -> jax.Array:
            return LOSSES[name].generator(
                real, fitting.critic(gan, state, t + e * z[1])
            )

        slopes = [jax.grad(generator)(t, name) for name in ("minimax", "kl")]
        fake = fitting.critic(gan, state, t + e * z[1])
        return LOSSES[loss].discriminator(real, fake), -fake.mean(), slopes

    cross_entropy, kl, (twice_js, kl_slope) = _over_grid(partial(train, loss="minimax"))
    hinge, _, (_, hinge_slope) = _over_grid(partial(train, loss="hinge"))
    # The two-sided penalty would trap some critics at the wrong slope of +-1.
    penalised = {"penalty": one_sided_gradient_penalty, "penalty_weight": weight}
    gap, _, (_, critic_slope) = _over_grid(
        partial(train, loss="wasserstein_gp", **penalised)
    )
    measured = {
        "KL": (kl, kl_slope),
        "JS": (jnp.log(2) - cross_entropy / 2, twice_js / 2),
        "TV": (1 - hinge / 2, hinge_slope / 2),
        "W1": (-gap, critic_slope),
    }
    for i, (value, slope) in enumerate(measured.values()):
        for j in range(len(_WIDTHS)):
            axes[i].plot(_DISTANCES, value[j], f"C{j}o", ms=4)
            axes[i + 4].plot(_DISTANCES, jnp.abs(slope[j]), f"C{j}o", ms=4)
    return _of_trained(measured, weight, quick)


def _of_trained(
    measured: dict[str, Any], weight: float, quick: bool
) -> list[claims.Claim]:
    value = {name: _over_grid(function) for name, function in _VALUES.items()}
    slope = {name: _over_grid(function) for name, function in _GRADIENTS.items()}
    # What a penalty of that weight makes of W1 and its slope.
    value["W1"] = lipschitz.penalised_gap(value["W1"], weight)
    slope["W1"] = lipschitz.penalised_slope(_over_grid(_VALUES["W1"]), weight)
    seen = value["KL"] < 3  # t < 2.4 e
    loose = 3 if quick else 1

    def ratio(name: str, part: int, where: Any = True) -> jax.Array:
        closed = (value, slope)[part][name]
        return jnp.max(
            jnp.abs(measured[name][part] / closed - 1), where=where, initial=0
        )

    def error(name: str, part: int) -> jax.Array:
        closed = (value, slope)[part][name]
        return jnp.abs(measured[name][part] - closed).max() / closed.max()

    trained = "trained - closed form, largest of 16"
    return [
        claims.equal(f"JS: {trained}, of log 2", 0, error("JS", 0), 0.01 * loose),
        claims.equal(
            f"d JS / dt: {trained}, of its peak", 0, error("JS", 1), 0.05 * loose
        ),
        claims.equal(f"TV: {trained}, of 1", 0, error("TV", 0), 0.01 * loose),
        claims.equal(
            f"KL below 3: {trained}, relative", 0, ratio("KL", 0, seen), 0.1 * loose
        ),
        claims.at_most(
            "KL = 200: trained, as samples show little of it",
            100,
            measured["KL"][0][-1, -1],
        ),
        claims.equal(f"W1: {trained}, relative", 0, ratio("W1", 0), 0.03 * loose),
        claims.equal(
            f"d W1 / dt: {trained}, relative", 0, ratio("W1", 1), 0.05 * loose
        ),
    ]


main = partial(theory.main, "divergences", measure)

if __name__ == "__main__":
    cli.run(main)
