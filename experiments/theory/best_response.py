"""Why GANs need not converge: best responses, the Dirac-GAN, and what damps it.

    python -m experiments.theory.best_response

Exact best responses of a discriminator and a generator on a line cycle. Gradient steps
on the Dirac-GAN spiral out when simultaneous, circle when alternating, and converge
with R1; a clipped Wasserstein critic ends on a circle, and one with a two-sided
gradient penalty far from the data (docs/best_response.md). Nothing here is
random, and all of it takes seconds: --seed and --quick change nothing.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.theory import theory_table
from gan_jax.theory.dynamics import best_response, dirac
from gan_jax.theory.dynamics.dirac import Rule

flags.adopt_module_key_flags(experiment)

_RULES = {
    "minimax, simultaneous": Rule("minimax", alternating=False),
    "minimax, alternating": Rule("minimax"),
    "wasserstein, simultaneous": Rule("wasserstein", alternating=False),
    "wasserstein, alternating": Rule("wasserstein"),
    "nonsaturating, simultaneous": Rule("nonsaturating", alternating=False),
    "nonsaturating, alternating": Rule("nonsaturating"),
    "nonsaturating + R1, simultaneous": Rule("nonsaturating", "r1", 0.5, False),
    "nonsaturating + R1, alternating": Rule("nonsaturating", "r1", 0.5),
    "wasserstein + R1, alternating": Rule("wasserstein", "r1", 0.5),
    "relativistic + R1 + R2, alternating": Rule("relativistic", "r1_r2", 0.25),
}
_RATE = 0.1  # of both players
_STEPS = 2000


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Plays both games; ``seed`` and ``quick`` change nothing."""
    del seed, quick
    titles = ("exact best responses", "minimax and wasserstein", "nonsaturating")
    titles += ("with R1", "moduli, colours as above", "wasserstein, clipped")
    titles += ("wasserstein + gradient penalty", "distance, colours as above")
    figure, axes = plots.subplots(titles, columns=4)
    found = _best_responses(axes[0])
    found.append(_eigenvalues(axes[4]))
    found += _gradient_steps(axes[1:4], axes[7])
    bounds, weights = (0.25, 0.5, 1.0), (0.1, 1.0, 2.0)
    # From outside, psi runs along its bound until theta changes sign and the circle of
    # that radius touches it: that circle the players keep to.
    found += _constrained(axes[5], "clip", bounds, bounds)
    closed = [dirac.penalised_amplitude(weight) for weight in weights]
    closed[0] = dirac.SMALL_WEIGHT_AMPLITUDE
    found += _constrained(axes[6], "penalty weight", weights, closed)
    return found, figure


def _best_responses(axes: Any) -> list[theory_table.Row]:
    real, low, high = 0.25, -1.0, 2.0
    fakes = np.linspace(low, high, 31, dtype=np.float32)
    # The closed form against every (w, b) of a fine grid, for every fake.
    w, b = jnp.meshgrid(jnp.linspace(-1, 1, 201), jnp.linspace(-3, 3, 1201))

    def solve(fake: jax.Array) -> tuple[jax.Array, jax.Array]:
        answer = best_response.best_discriminator(fake, real)
        searched = best_response.objective(w, b, fake, real).min()
        return best_response.objective(*answer, fake, real), searched

    closed, searched = jax.device_get(jax.jit(jax.vmap(solve))(fakes))
    value = np.asarray(best_response.best_value(fakes, real))
    rounds = np.asarray(best_response.play(0.0, real, low, high, 20))
    axes.plot(range(1, 21), rounds[:, 2], ".-", label="fake")
    axes.plot(range(1, 21), rounds[:, 0], ".-", label="w")
    axes.axhline(real, **plots.THEORY, label="real")
    axes.set(xlabel="round")
    return [
        theory_table.equal(
            "best response: C(w*, b*) + tanh(|x - f| / 4), largest of 31 fakes",
            0,
            np.abs(closed - value).max(),
            1e-6,
        ),
        theory_table.equal(
            "best response: grid search + tanh(|x - f| / 4), largest",
            0,
            np.abs(searched - value).max(),
            2e-5,  # what the spacing of the grid leaves
        ),
        theory_table.equal(
            "best responses: way of the fake in each round, least",
            high - low,
            np.abs(np.diff(rounds[:, 2])).min(),
            0,
        ),
        theory_table.equal(
            "best responses: w[k] + w[k + 1], largest",
            0,
            np.abs(rounds[1:, 0] + rounds[:-1, 0]).max(),
            0,
        ),
        theory_table.equal(
            "best responses: distance to the data, at the nearest",
            min(high - real, real - low),
            np.abs(rounds[:, 2] - real).min(),
            0,
        ),
    ]


def _eigenvalues(axes: Any) -> theory_table.Row:
    rates = np.linspace(0.01, 1, 100, dtype=np.float32)
    errors = []
    for number, rule in enumerate(_RULES.values()):
        jacobian = jax.jit(jax.vmap(jax.jacfwd(rule.step), in_axes=(None, 0)))
        measured = np.linalg.eigvals(jax.device_get(jacobian(np.zeros(2, "f4"), rates)))
        closed = jax.device_get(jax.jit(rule.eigenvalues)(rates))
        # Two numbers are known by their sum and product, in whichever order.
        errors += [
            np.abs(combine(measured, -1) - combine(closed, -1)).max()
            for combine in (np.sum, np.prod)
        ]
        axes.plot(rates, np.abs(closed).max(-1), color=f"C{number}")
    axes.axhline(1, **plots.THEORY)
    axes.set(xlabel="learning rate")
    what = "eigenvalues: error of their sum or product, largest of rules and rates"
    return theory_table.equal(what, 0, max(errors), 1e-5)


def _gradient_steps(planes: Any, distances: Any) -> list[theory_table.Row]:
    # One start near the equilibrium, where the update is linear, and one far away.
    starts = jnp.array([[1e-3, 0.0], [1.0, 0.0]])
    found = []
    for number, (title, rule) in enumerate(_RULES.items()):
        step = partial(rule.step, rate=_RATE)
        play = jax.vmap(partial(dirac.trajectory, step, num_steps=_STEPS))
        points = np.asarray(jax.jit(play)(starts))
        near, far = np.hypot(points[..., 0], points[..., 1])
        slope = np.polyfit(np.arange(_STEPS + 1), np.log(near), 1)[0]
        modulus = np.abs(jax.jit(rule.eigenvalues)(_RATE)).max()
        found.append(
            theory_table.equal(f"growth a step: {title}", modulus, np.exp(slope), 2e-4)
        )
        what = f"distance after {_STEPS} steps from 1: {title}"
        found.append(_verdict(what, rule, modulus, far[-200:]))
        plane = planes[2 if rule.penalty else rule.loss == "nonsaturating"]
        plane.plot(*points[1, :300].T, color=f"C{number}", label=title)
        plane.set(xlabel="theta", ylabel="psi", aspect="equal")
        distances.semilogy(far, color=f"C{number}")
    distances.set(xlabel="steps")
    return found


def _verdict(
    what: str, rule: Rule, modulus: float, distances: np.ndarray
) -> theory_table.Row:
    """Where the players are in the end, having started at distance 1."""
    if rule.penalty:
        return theory_table.at_most(what, 1e-3, distances[-1])
    if rule.loss == "nonsaturating":  # higher orders pull it in, slowly
        closed = dirac.nonsaturating_amplitude(_RATE)
        if rule.alternating:
            closed = dirac.nonsaturating_distance(1.0, _RATE * _STEPS)
        return theory_table.close(what, closed, distances.mean(), 0.05)
    if rule.loss == "wasserstein" and not rule.alternating:  # a linear game
        return theory_table.close(what, modulus**_STEPS, distances[-1], 0.01)
    if modulus > 1 + 1e-4:
        return theory_table.at_least(what, 2, distances[-1])
    return theory_table.equal(what, 1, distances.mean(), 0.05)


def _constrained(
    axes: Any, what: str, values: Sequence[float], closed: Sequence[float]
) -> list[theory_table.Row]:
    """Critics whose updates are not smooth at the equilibrium."""

    def play(value: jax.Array) -> jax.Array:
        if what == "clip":
            step = partial(Rule("wasserstein").step, clip=value)
        else:
            step = Rule("wasserstein", "gradient_penalty", value).step
        step = partial(step, rate=_RATE / 2)
        return dirac.trajectory(step, jnp.array([1.5, 0.0]), 4 * _STEPS)

    trajectories = np.asarray(jax.jit(jax.vmap(play))(jnp.asarray(values, jnp.float32)))
    for value, points in zip(values, trajectories, strict=True):
        axes.plot(*points[:_STEPS].T, label=f"{what} {value:g}")
    axes.set(xlabel="theta", ylabel="psi", aspect="equal")
    return [
        theory_table.close(
            f"largest |theta| in the end: wasserstein, {what} {value:g}",
            amplitude,
            np.abs(points[-1000:, 0]).max(),
            0.01,
        )
        for value, points, amplitude in zip(values, trajectories, closed, strict=True)
    ]


main = partial(experiment.main, "best_response", measure)

if __name__ == "__main__":
    cli.run(main)
