"""Consensus optimisation: a second-order direction that makes games converge.

    python -m experiments.consensus

Descends ``v + gamma J^T v``, with v both players' gradients and J their Jacobian. On
the Dirac-GAN: eigenvalues, growth a step and the weights between which it converges,
beside their closed forms, and from where it runs away. On a ring of Gaussians: eight
GANs of each method, beside gradient steps at once and in turns (docs/consensus.md).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments import cli, tables, theory
from gan_jax import claims, games, networks, plots
from gan_jax.data import mixtures
from gan_jax.evaluation import transport
from gan_jax.evaluation.modes import modes
from gan_jax.losses import LOSSES
from gan_jax.theory import consensus as closed
from gan_jax.theory import dirac
from gan_jax.theory.consensus import Rule

flags.adopt_module_key_flags(theory)


_RULES = {
    "minimax, at once": Rule("minimax", "at once"),
    "minimax, in turns": Rule("minimax", "in turns"),
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

# The ring, networks, optimiser, batch and gamma of the authors' notebook.
_DATA, _LATENT = mixtures.ring(radius=1.0, scale=0.01), 16
_CIRCLE = mixtures.ring(1000, radius=1.0, scale=0.01)
_NETWORKS = (
    networks.MLPGenerator(2, (16,) * 4),
    networks.MLPDiscriminator((16,) * 4, activation=jax.nn.relu),
)
_METHODS = {
    "at once": Rule("nonsaturating", "at once", rate=3e-3),
    "in turns": Rule("nonsaturating", "in turns", rate=1e-3),
    "consensus": Rule("nonsaturating", weight=10.0, rate=1e-3),
    "symplectic": Rule("nonsaturating", "symplectic", rate=1e-3),
}
Played = dict[Rule, np.ndarray]
Values = dict[str, np.ndarray]
_SAMPLES, _PAIRED = 2500, 500  # for modes, as in PacGAN; for the exact distance


class Length(NamedTuple):
    """How many GANs are trained on the ring, and how long."""

    seeds: int = 8
    batch: int = 512
    steps: int = 500  # of a part
    parts: int = 10
    longer: int = 28  # parts of the gradient steps, in all: they are cheaper


def measure(seed: int, quick: bool) -> theory.Findings:
    """The Dirac-GAN, in which nothing is random, and then the ring."""
    titles = ("Dirac-GAN", "modulus against gamma", "distance, colours as on the left")
    titles += ("minimax, consensus 2, from far", "ring: W1, mean and extremes")
    titles += ("ring: at once", "ring: in turns", "ring: consensus")
    figure, axes = plots.subplots(titles, columns=4)
    swept = [rule for rules in _SWEPT.values() for rule in rules]
    played = _every([*_RULES.values(), *_FROM_FAR, *swept], _play)
    found = [*_eigenvalues(quick), *_weights(axes[1], played)]
    found += [*_growth(axes[0], axes[2], played), *_outward(axes[3], played)]
    methods, length = _METHODS, Length()
    if quick:  # one program: gradient steps are consensus of weight 0
        length = Length(seeds=2, batch=128, parts=2, longer=2)
        plain = Rule("nonsaturating", weight=0.0, rate=methods["at once"].rate)
        methods = {"at once": plain, "consensus": methods["consensus"]}
    keys = jax.random.split(jax.random.key(seed), 3)
    data = mixtures.repeat(_DATA, 1000)  # as many components: one program
    real, *others = np.asarray(_draws(keys[0], data, length.seeds + 1))
    circles = _draws(keys[1], _CIRCLE, length.seeds + 1)[1:]
    after, drawn, ratios = _train(keys[2], methods, length, real)
    beside = {  # what perfect samples come to, and a circle that knows no modes
        "other samples": _values(np.asarray(others), real),
        "a circle": _values(circles, real),
    }
    _draw_ring(axes[4:], after, drawn, beside, length)
    found += _claims(after, beside, length)
    rows = _rows(after, beside, ratios, length)
    header = ("ring", "steps", "modes", "good", "W1", "time a step / at once")
    table = tables.as_text(header, rows)
    runs = {
        name: {
            f"{n * length.steps} steps": values[n - 1] for n in _ends(values, length)
        }
        for name, values in after.items()
    }
    details = jax.tree.map(np.ndarray.tolist, {"runs": runs, "beside": beside})
    details |= {"length": length._asdict(), "time_a_step_over_at_once": ratios}
    return theory.Findings(found, figure, [table], details)


def _step(rule: Rule, weight: Any, rate: Any, point: jax.Array) -> jax.Array:
    """The next point of the Dirac-GAN, by the rule but for weight and rate."""
    field = dirac.gradients(LOSSES[rule.loss])
    if rule.kind == "in turns":
        return dirac.alternating_step(field, point, rate)
    if rule.kind == "at once":
        return dirac.simultaneous_step(field, point, rate)
    return point - rate * getattr(games, rule.kind)(field, point, weight)


def _play(rule: Rule, weight: Any, rate: Any) -> jax.Array:
    """Trajectories from `_STARTS`, ``[starts, _MANY + 1, 2]``."""
    step = partial(_step, rule, weight, rate)
    starts = jnp.asarray(_STARTS, jnp.float32)
    return jax.vmap(lambda start: dirac.trajectory(step, start, _MANY))(starts)


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
    # Rows are where the starts have come to: the map of all steps, transposed.
    whole = np.stack(trajectories)[:, :2, _FEW].astype(np.float64) / _NEAR
    return np.abs(np.linalg.eigvals(whole)).max(-1) ** (1 / _FEW)


def _eigenvalues(quick: bool) -> list[claims.Claim]:
    found, losses = [], ("minimax", "kl") if quick else tuple(closed.SLOPES)
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
        found.append(claims.equal(what, 0, max(errors), 1e-5))
    return found


def _weights(axes: Any, played: Played) -> list[claims.Claim]:
    """Growth a step against gamma: where it is 1, and where the least."""
    found = []
    for loss, rules in _SWEPT.items():
        slope = closed.SLOPES[loss][0]
        growths = _growths([played[rule] for rule in rules])
        axes.plot(_WEIGHTS[::10], growths[::10], ".", label=loss)
        axes.plot(_WEIGHTS, np.abs(_closed(rules)).max(-1), **plots.THEORY)
        bounds = np.asarray(closed.weight_bounds(slope, rules[0].rate))
        logs, crossed = np.log(growths), np.flatnonzero(np.diff(growths > 1))
        shares = logs[crossed] / (logs[crossed] - logs[crossed + 1])
        places = np.interp(crossed + shares, range(len(rules)), np.log(_WEIGHTS))
        crossings = [*np.exp(places), np.nan, np.nan]  # two, or the claim fails
        for side, bound, crossing in zip(
            ("least", "largest"), bounds, crossings[:2], strict=True
        ):
            what = f"{loss}: {side} gamma that converges"
            found.append(claims.close(what, bound, crossing, 0.005))
        best = closed.best_weight(slope, rules[0].rate)
        what = f"{loss}: gamma of the least growth"
        measured = _WEIGHTS[growths.argmin()]
        found.append(claims.close(what, best, measured, 0.02))  # the grid's spacing
    axes.axhline(1, color="gray", lw=1)
    axes.set(xscale="log", xlabel="gamma", ylim=(0, 2))
    return found


def _growth(plane: Any, distances: Any, played: Played) -> list[claims.Claim]:
    found, trajectories = [], np.stack([played[rule] for rule in _RULES.values()])
    moduli = np.abs(_closed(list(_RULES.values()))).max(-1)
    growths = _growths(trajectories)
    far = np.nan_to_num(np.hypot(*trajectories[:, 2].T).T, nan=np.inf)
    for i, (title, rule) in enumerate(_RULES.items()):
        found.append(
            claims.equal(f"growth a step: {title}", moduli[i], growths[i], 2e-4)
        )
        what, end = f"distance after {_MANY} steps from 1: {title}", far[i, -200:]
        if rule.kind == "in turns":
            found.append(claims.equal(what, 1, end.mean(), 0.05))
        elif moduli[i] < 1:
            found.append(claims.at_most(what, 1e-3, end.max()))
        else:
            found.append(claims.at_least(what, 2, end.min()))
        if far[i, 300] < 3:
            plane.plot(*trajectories[i, 2, :300].T, color=f"C{i}", lw=1)
        distances.semilogy(far[i, :301], color=f"C{i}", label=title)
    plane.set(xlabel="theta", ylabel="psi", aspect="equal")
    distances.set(xlabel="steps", ylim=(1e-4, 1e10))
    return found


def _outward(axes: Any, played: Played) -> list[claims.Claim]:
    """Minimax, where consensus pulls outward once the discriminator is sure."""
    field = dirac.gradients(LOSSES["minimax"])
    pull = jax.jit(jax.vmap(partial(games.consensus, field)))
    line = np.linspace(-4, 4, 32, dtype=np.float32)  # without 0
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    weights = np.repeat(np.array([0.5, 2.0], np.float32), [len(points) // 2] * 2)
    change = -2 * (points * pull(points, weights)).sum(1) / (points**2).sum(1)
    error = np.abs(change / weights - closed.drift(points.prod(1))).max()
    rests = np.asarray(closed.other_rest(weights))
    left = np.abs(pull(rests, weights)).max()
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
        claims.equal(what, 0, error, 1e-4),
        claims.equal(rest, 0, left, 1e-6),
        claims.at_least(f"{far}: minimax", start, end),
        claims.at_most(f"{far}: nonsaturating", 1e-3, other),
    ]


@jax.jit
@jax.vmap
def _initialise(key: jax.Array) -> tuple[games.Players, Any]:
    """Networks, and the states of their optimisers."""
    keys, inputs = jax.random.split(key), (jnp.zeros((1, _LATENT)), jnp.zeros((1, 2)))
    triples = zip(_NETWORKS, keys, inputs, strict=True)
    players = tuple(network.init(key, x) for network, key, x in triples)
    return players, tuple(optax.rmsprop(1.0).init(player) for player in players)


@partial(jax.jit, static_argnames=("loss", "kind", "length"))
def _part(
    loss: str,
    kind: str,
    weight: Any,
    rate: Any,
    gans: Any,
    keys: Any,
    *,
    length: Length,
) -> Any:
    """A part of the training of all seeds: players and states, ``[seeds, ...]``."""
    optimiser = optax.rmsprop(rate, eps=1e-10)
    directions: dict[str, games.Direction] = {
        "at once": lambda field, players: field(players),
        "consensus": partial(games.consensus, weight=weight),
        "symplectic": partial(games.symplectic, weight=weight),
    }
    if kind == "in turns":
        step = partial(games.in_turns, optimiser)
    else:
        step = partial(games.at_once, optimiser, directions[kind])

    def draw(key: jax.Array) -> games.Field:
        real_key, latent_key = jax.random.split(key)
        real = _DATA.sample(real_key, length.batch)
        z = jax.random.normal(latent_key, (length.batch, _LATENT))
        return games.gan_field(LOSSES[loss], *_NETWORKS, real, z)

    def train(gan: Any, key: jax.Array) -> Any:
        return games.play(step, draw, *gan, jax.random.split(key, length.steps))

    return jax.vmap(train)(gans, keys)


def _train(
    key: jax.Array, methods: dict[str, Rule], length: Length, real: np.ndarray
) -> tuple[dict[str, list[Values]], dict[str, np.ndarray], dict[str, float]]:
    """Every method from the same networks on the same batches, in turns.

    Returns:
      Method -> values after each part; samples after `Length.parts`, ``[seeds, ...]``;
      and the time of a part over that of gradient steps at once, median of the parts.
    """
    keys = jax.random.split(key, length.seeds)
    gans = dict.fromkeys(methods, _initialise(keys))
    after: dict[str, list[Values]] = {name: [] for name in methods}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    drawn = {}
    for part in range(length.longer):
        some = jax.vmap(partial(jax.random.fold_in, data=part))(keys)
        for name, rule in methods.items():
            if part >= length.parts and rule.kind not in ("at once", "in turns"):
                continue
            began = time.perf_counter()
            gans[name] = _part(*rule, gans[name], some, length=length)
            jax.block_until_ready(gans[name])
            seconds[name].append(time.perf_counter() - began)
            samples = np.asarray(_generate(gans[name][0][0], keys))
            after[name].append(_values(samples, real))
            if part == length.parts - 1:
                drawn[name] = samples
    # The first part is compiled.
    of = {name: np.array(s[1 : length.parts]) for name, s in seconds.items()}
    ratios = {name: float(np.median(s / of["at once"])) for name, s in of.items()}
    return after, drawn, ratios


@jax.jit
@jax.vmap
def _generate(generator: Any, key: jax.Array) -> jax.Array:
    z = jax.random.normal(key, (_SAMPLES, _LATENT))
    return _NETWORKS[0].apply(generator, z)


@partial(jax.jit, static_argnames="sets")
def _draws(key: jax.Array, mixture: mixtures.Mixture, sets: int) -> jax.Array:
    """Independent sets of samples, ``[sets, _SAMPLES, 2]``."""
    sample = partial(mixture.sample, count=_SAMPLES)
    return jax.vmap(sample)(jax.random.split(key, sets))


_modes = jax.jit(jax.vmap(partial(modes, mixture=_DATA)))


def _values(samples: np.ndarray, real: np.ndarray) -> Values:
    """Of samples ``[seeds, _SAMPLES, 2]``, each value ``[seeds]``."""
    found = _modes(samples)
    distances = [
        transport.wasserstein(x[:_PAIRED], real[:_PAIRED])
        if np.isfinite(x).all()
        else np.inf
        for x in samples
    ]
    covered, good = np.asarray(found.covered), np.asarray(found.high_quality)
    return {"modes": covered, "good": good, "W1": np.array(distances)}


def _ends(values: list[Values], length: Length) -> list[int]:
    """After how many parts a method is compared: as many as others', and all."""
    return sorted({length.parts, len(values)})


def _draw_ring(
    axes: Any,
    after: dict[str, list[Values]],
    drawn: dict[str, np.ndarray],
    beside: dict[str, Values],
    length: Length,
) -> None:
    for name, values in after.items():
        steps = length.steps * np.arange(1, len(values) + 1)
        found = np.stack([of["W1"] for of in values])
        axes[0].plot(steps, found.mean(1), label=name)
        axes[0].fill_between(steps, found.min(1), found.max(1), alpha=0.15)
    for name, style in zip(beside, ("--", ":"), strict=True):
        line = plots.THEORY | {"ls": style}
        axes[0].axhline(beside[name]["W1"].mean(), **line, label=name)
    axes[0].set(xlabel="steps", ylim=(0, 1.6))
    for panel, name in zip(axes[1:], ("at once", "in turns", "consensus"), strict=True):
        if name in drawn:
            plots.draw_density(panel, drawn[name][0], 1.5)
        panel.grid(visible=False)


def _rows(
    after: dict[str, list[Values]],
    beside: dict[str, Values],
    ratios: dict[str, float],
    length: Length,
) -> list[list[str]]:
    """Mean and deviation over seeds, after as many steps and after all."""

    def cells(of: Values) -> list[str]:
        digits = {"modes": 1, "good": 2, "W1": 3}
        means = {name: of[name].mean() for name in digits}
        spreads = {name: of[name].std(ddof=1) for name in digits}
        return [f"{means[n]:.{d}f} ± {spreads[n]:.{d}f}" for n, d in digits.items()]

    rows = []
    for name, values in after.items():
        for parts in _ends(values, length):
            steps = f"{parts * length.steps}"
            rows.append([name, steps, *cells(values[parts - 1]), f"{ratios[name]:.1f}"])
    return rows + [[name, "", *cells(of), ""] for name, of in beside.items()]


def _claims(
    after: dict[str, list[Values]], beside: dict[str, Values], length: Length
) -> list[claims.Claim]:
    """Means over seeds, after as many steps of every method and after more."""
    quick = length != Length()
    best = after["consensus"][-1]
    finite = np.mean([np.isfinite(values[-1]["W1"]) for values in after.values()])
    what, found = "ring, consensus: modes", best["modes"].mean()
    result = [
        claims.equal("ring: share of GANs that stay finite", 1, finite, 0),
        claims.at_least(what, 6 if quick else 7.5, found),
    ]
    if not quick:
        circle, floor = beside["a circle"], beside["other samples"]["W1"].mean()
        what = "ring, consensus: W1, twice that of other samples"
        result.append(claims.at_most(what, 2 * floor, best["W1"].mean()))
        what, good = "ring, consensus: high-quality share, four times a circle's", 4
        good *= circle["good"].mean()
        result.append(claims.at_least(what, good, best["good"].mean()))
    for name in [name for name in after if name in ("at once", "in turns")]:
        for part in _ends(after[name], length):
            ratio = after[name][part - 1]["W1"].mean() / best["W1"].mean()
            what = f"ring, {name}, {part * length.steps} steps: W1 / consensus's"
            result.append(claims.at_least(what, 1.1 if quick else 3, ratio))
    return result


main = partial(theory.main, "consensus", measure)

if __name__ == "__main__":
    cli.run(main)
