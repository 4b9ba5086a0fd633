"""Consensus optimisation: a second-order direction that makes games converge.

    python -m experiments.theory.consensus

Descends ``v + gamma J^T v``, with v both players' gradients and J their Jacobian, on
the Dirac-GAN: eigenvalues, growth a step and the weights between which it converges,
beside their closed forms, and from where it runs away (docs/consensus.md).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.losses import LOSSES
from gan_jax.theory import theory_table
from gan_jax.theory.dynamics import consensus as closed
from gan_jax.theory.dynamics import dirac, games
from gan_jax.theory.dynamics.consensus import Rule

flags.adopt_module_key_flags(experiment)

_RULES = {
    "minimax, simultaneous": Rule("minimax", "simultaneous"),
    "minimax, alternating": Rule("minimax", "alternating"),
    "minimax, consensus 1": Rule("minimax"),
    "kl, consensus 1": Rule("kl"),
    "kl, symplectic 1": Rule("kl", "symplectic"),
    "wasserstein, consensus 0.04": Rule("wasserstein", weight=0.04),
    "wasserstein, consensus 10": Rule("wasserstein", weight=10.0),
    "wasserstein, consensus 20.2": Rule("wasserstein", weight=20.2),
}
_FROM_FAR = Rule("minimax", weight=2.0), Rule("nonsaturating", weight=2.0)
_WEIGHTS = np.geomspace(0.01, 100, 401).tolist()
_SWEPT = {
    loss: [Rule(loss, weight=weight) for weight in _WEIGHTS]
    for loss in ("minimax", "wasserstein")
}
_FEW, _MANY = 20, 2000  # steps, near the equilibrium and from far
_NEAR = 1e-3
_STARTS = [[_NEAR, 0], [0, _NEAR], [1, 0], [2, -2], [1, -1.2], [0.5, -1], [2, 2]]

Played = dict[Rule, np.ndarray]


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Plays every rule. Nothing is random, and quick is as long."""
    del seed
    titles = ("from (1, 0)", "distance, colours as on the left")
    titles += ("modulus against gamma", "minimax, consensus 2, from far")
    figure, axes = plots.subplots(titles, columns=2)
    played = _every([*_RULES.values(), *_FROM_FAR], partial(_play, steps=_MANY))
    found = _eigenvalues(quick) + _weights(axes[2])
    found += _growth(axes[0], axes[1], played)
    return found + _outward(axes[3], played), figure


def _step(rule: Rule, weight: Any, rate: Any, point: jax.Array) -> jax.Array:
    """The next point of the Dirac-GAN, by the rule but for weight and rate."""
    field = dirac.gradients(LOSSES[rule.loss])
    if rule.kind == "alternating":
        return dirac.alternating_step(field, point, rate)
    if rule.kind == "simultaneous":
        return dirac.simultaneous_step(field, point, rate)
    return point - rate * getattr(games, rule.kind)(field, point, weight)


def _play(rule: Rule, weight: Any, rate: Any, steps: int) -> jax.Array:
    """Trajectories from `_STARTS`, ``[starts, steps + 1, 2]``."""
    step = partial(_step, rule, weight, rate)
    starts = jnp.asarray(_STARTS, jnp.float32)
    return jax.vmap(lambda start: dirac.trajectory(step, start, steps))(starts)


def _jacobian(rule: Rule, weight: Any, rate: Any) -> jax.Array:
    """Of the step at the equilibrium, ``[2, 2]``."""
    return jax.jacfwd(partial(_step, rule, weight, rate))(jnp.zeros(2))


def _every(
    rules: Sequence[Rule], function: Callable[[Rule, Any, Any], jax.Array]
) -> dict[Rule, np.ndarray]:
    """A function of each rule, all in one program, mapped over weights and rates."""
    kinds: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        kinds.setdefault(rule[:2], []).append(rule)
    numbers = [np.array([r[2:] for r in some], np.float32) for some in kinds.values()]

    @jax.jit
    def whole(numbers: list[jax.Array]) -> list[jax.Array]:
        firsts = [some[0] for some in kinds.values()]
        pairs = zip(firsts, numbers, strict=True)
        return [jax.vmap(partial(function, rule))(*n.T) for rule, n in pairs]

    groups = zip(kinds.values(), whole(numbers), strict=True)
    return {
        rule: value
        for some, values in groups
        for rule, value in zip(some, np.asarray(values), strict=True)
    }


def _closed(rules: Sequence[Rule]) -> np.ndarray:
    """Eigenvalues of the rules' steps in closed form, ``[rules, 2]``."""
    return np.stack([rule.eigenvalues() for rule in rules])


def _growths(trajectories: Sequence[np.ndarray]) -> np.ndarray:
    """Modulus of each step's larger eigenvalue, from the two that start near 0."""
    # Rows are where the starts are: the map of all steps, transposed.
    whole = np.stack(trajectories)[:, :2, _FEW].astype(np.float64) / _NEAR
    return np.abs(np.linalg.eigvals(whole)).max(-1) ** (1 / _FEW)


def _eigenvalues(quick: bool) -> list[theory_table.Row]:
    found, losses = [], ("kl",) if quick else tuple(dirac.SLOPES)
    kinds = {
        kind: [
            Rule(loss, kind, weight, rate)
            for loss in losses
            for weight in (0.0, 0.05, 0.5, 2.0, 5.0)
            for rate in (0.01, 0.1, 0.5, 1.0)
        ]
        for kind in ("consensus", "symplectic")
    }
    jacobians = _every([rule for rules in kinds.values() for rule in rules], _jacobian)
    for kind, rules in kinds.items():
        measured = np.linalg.eigvals([jacobians[rule] for rule in rules])
        expected = _closed(rules)
        # Two numbers are known by their sum and product, in whichever order.
        errors = [
            np.abs(combine(measured, -1) - combine(expected, -1)).max()
            for combine in (np.sum, np.prod)
        ]
        what = f"{kind}: error of the eigenvalues' sum or product, largest of"
        what += f" {len(rules)}"
        found.append(theory_table.equal(what, 0, max(errors), 1e-5))
    return found


def _weights(axes: Any) -> list[theory_table.Row]:
    """Growth a step against gamma: where it is 1, and where the least."""
    found, swept = [], [rule for rules in _SWEPT.values() for rule in rules]
    played = _every(swept, partial(_play, steps=_FEW))
    for loss, rules in _SWEPT.items():
        slope = dirac.SLOPES[loss][0]
        growths = _growths([played[rule] for rule in rules])
        axes.plot(_WEIGHTS[::10], growths[::10], ".", label=loss)
        axes.plot(_WEIGHTS, np.abs(_closed(rules)).max(-1), **plots.THEORY)
        bounds = np.asarray(closed.weight_bounds(slope, rules[0].rate))
        logs, crossed = np.log(growths), np.flatnonzero(np.diff(growths > 1))
        shares = logs[crossed] / (logs[crossed] - logs[crossed + 1])
        places = np.interp(crossed + shares, range(len(rules)), np.log(_WEIGHTS))
        crossings = [*np.exp(places), np.nan, np.nan]  # two, or the row fails
        for side, bound, crossing in zip(
            ("least", "largest"), bounds, crossings[:2], strict=True
        ):
            what = f"{loss}: {side} gamma that converges"
            found.append(theory_table.close(what, bound, crossing, 0.005))
        best = closed.best_weight(slope, rules[0].rate)
        what = f"{loss}: gamma of the least growth"
        measured = _WEIGHTS[growths.argmin()]
        found.append(
            theory_table.close(what, best, measured, 0.02)
        )  # the grid's spacing
    axes.axhline(1, color="gray", lw=1)
    axes.set(xscale="log", xlabel="gamma", ylim=(0, 2))
    return found


def _growth(plane: Any, distances: Any, played: Played) -> list[theory_table.Row]:
    found, trajectories = [], np.stack([played[rule] for rule in _RULES.values()])
    moduli = np.abs(_closed(list(_RULES.values()))).max(-1)
    growths = _growths(trajectories)
    far = np.nan_to_num(np.hypot(*trajectories[:, 2].T).T, nan=np.inf)
    for i, (title, rule) in enumerate(_RULES.items()):
        found.append(
            theory_table.equal(f"growth a step: {title}", moduli[i], growths[i], 2e-4)
        )
        what, end = f"distance after {_MANY} steps from 1: {title}", far[i, -1]
        if rule.kind == "alternating":
            found.append(theory_table.equal(what, 1, far[i, -200:].mean(), 0.05))
        elif moduli[i] < 1:
            found.append(theory_table.at_most(what, 1e-3, end))
        elif rule.loss == "wasserstein":  # a linear game
            found.append(theory_table.close(what, moduli[i] ** _MANY, end, 0.01))
        else:
            found.append(theory_table.at_least(what, 2, end))
        if far[i, 300] < 3:
            plane.plot(*trajectories[i, 2, :300].T, color=f"C{i}", lw=1)
        distances.semilogy(far[i, :301], color=f"C{i}", label=title)
    plane.set(xlabel="theta", ylabel="psi", aspect="equal")
    distances.set(xlabel="steps", ylim=(1e-4, 1e10))
    return found


def _outward(axes: Any, played: Played) -> list[theory_table.Row]:
    """Minimax, where consensus pulls outward once the discriminator is sure."""
    field = dirac.gradients(LOSSES["minimax"])
    pull = jax.jit(jax.vmap(partial(games.consensus, field)))
    line = np.linspace(-4, 4, 32, dtype=np.float32)  # without 0
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    weights = np.repeat(np.array([0.5, 2.0], np.float32), [len(points) // 2] * 2)
    rests = np.asarray(closed.other_rest(weights[[0, -1]]))
    everywhere = np.concatenate([points, rests]), np.append(weights, weights[[0, -1]])
    pulls, left = np.split(np.asarray(pull(*everywhere)), [len(points)])
    change = -2 * (points * pulls).sum(1) / (points**2).sum(1)
    drift = np.asarray(jax.jit(closed.drift)(points.prod(1)))
    error = np.abs(change / weights - drift).max()
    minimax, nonsaturating = (played[rule] for rule in _FROM_FAR)
    start, end = np.hypot(*minimax[3].T)[[0, -1]]
    other = np.hypot(*nonsaturating[3, -1])
    for i, path in enumerate(minimax[2:]):
        axes.plot(*path.T, color=f"C{i}", lw=1)
        axes.plot(*path[0], "o", color=f"C{i}", ms=4)
    theta = np.linspace(0.05, 4, 200)
    for sign, label in ((1, "turning logit"), (-1, None)):
        turning = sign * theta, sign * closed.TURNING_LOGIT / theta
        axes.plot(*turning, **plots.THEORY, label=label)
        axes.plot(*sign * rests[-1], "kx", ms=8)
    axes.set(xlim=(-4, 4), ylim=(-4, 4), xlabel="theta", ylabel="psi", aspect="equal")
    what = "minimax, consensus: error of (r^2)' / (gamma r^2), largest of 1024 points"
    rest = "minimax, consensus: largest direction where it rests off the equilibrium"
    far = f"distance after {_MANY} steps from (2, -2), consensus 2"
    return [
        theory_table.equal(what, 0, error, 1e-4),
        theory_table.equal(rest, 0, np.abs(left).max(), 1e-6),
        theory_table.at_least(f"{far}: minimax", start, end),
        theory_table.at_most(f"{far}: nonsaturating", 1e-3, other),
    ]


main = partial(experiment.main, "consensus", measure)

if __name__ == "__main__":
    cli.run(main)
