"""What a Wasserstein critic estimates: unconstrained, with a bound, with a price.

    python -m experiments.lipschitz

Between two points an unconstrained critic's objective grows for ever; one whose slope
is limited to K is a line, with a gap of K times the distance: the dual of the
Wasserstein distance. A gradient penalty is a price: critics say more than W1, by how
much has a closed form, on a line and in the plane; and the two-sided penalty can trap a
critic on a line that the one-sided one does not (docs/lipschitz.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from flax import linen as nn

from experiments import cli, theory
from gan_jax import claims, fitting, networks, plots, training
from gan_jax.data import mixtures
from gan_jax.evaluation import transport
from gan_jax.penalties import PENALTIES
from gan_jax.theory import divergences, lipschitz

flags.adopt_module_key_flags(theory)

_gaussian = mixtures.gaussian
_SCALES = (_gaussian([0.0], 0.5), _gaussian([0.0], 2.0))  # one within the other
_PAIRS = {
    "line, shifted": (_gaussian([0.0]), _gaussian([2.0])),
    "line, scaled": _SCALES,
    "line, two modes": (mixtures.on_a_line([-2, 2], 0.5), _gaussian([0.0])),
    "plane, shifted": (_gaussian([0.0, 0.0]), _gaussian([1.0, 1.0])),
    "plane, scaled": (_gaussian([0.0, 0.0], 0.5), _gaussian([0.0, 0.0], 2.0)),
    "plane, ring": (mixtures.ring(), _gaussian([0.0, 0.0], 0.5)),
}
_GRID = np.linspace(-6, 6, 241, dtype=np.float32)


def measure(seed: int, quick: bool) -> tuple[list[claims.Claim], Any]:
    """Trains critics under each constraint, beside the exact distance."""
    titles = (
        "no constraint: gap",
        "slope at most K: gap",
        "gradient penalty: gap / W1",
        "critics of N(0, 1/4), N(0, 4)",
    )
    figure, axes = plots.subplots(titles, columns=4)
    keys = jax.random.split(jax.random.key(seed), 4)
    found = _unconstrained(axes[0], keys[0])
    found += _bounded(axes[1], keys[1])
    found += _penalised(axes[2], keys[2], quick)
    found += _trapped(axes[3], keys[3], quick)
    return found, figure


def _linear_critic(
    key: jax.Array, distance: jax.Array, clip: jax.Array | None, rate: float
) -> jax.Array:
    """Gap of a linear critic between 0 and ``distance`` after each of 200 steps."""
    gan = fitting.against(
        lambda z: jnp.full_like(z, distance),
        networks.MLPDiscriminator(()),
        "wasserstein",
        optax.sgd(rate),
        latent_size=1,
        clip=clip,
    )
    state = training.init_state(gan, key, (1,))
    _, log = fitting.train(
        gan, state, lambda _, n: jnp.zeros((n, 1)), num_steps=200, batch_size=1
    )
    return log["real_logit"] - log["fake_logit"]


def _unconstrained(axes: Any, key: jax.Array) -> list[claims.Claim]:
    distances, rate = np.array([0.5, 1.0, 2.0], np.float32), 0.1
    run = partial(_linear_critic, key, clip=None, rate=rate)
    gaps = jax.device_get(jax.jit(jax.vmap(run))(distances))
    gaps = gaps - gaps[:, :1]  # of the random weight that it starts with
    steps = np.arange(gaps.shape[1])
    closed = lipschitz.ascent_gap(distances[:, None], rate, steps)
    for distance, gap, line in zip(distances, gaps, closed, strict=True):
        axes.plot(steps, gap, label=f"distance {distance:g}")
        axes.plot(steps, line, **plots.THEORY)
    axes.set(xlabel="steps")
    return [
        claims.close(
            f"no constraint, distance {distance:g}: gap after {len(steps) - 1} steps",
            line[-1],
            gap[-1],
            1e-3,
        )
        for distance, gap, line in zip(distances, gaps, closed, strict=True)
    ]


def _bounded(axes: Any, key: jax.Array) -> list[claims.Claim]:
    """By gradient steps with clipping, and over all functions by a linear program."""
    distances = np.linspace(0.25, 2, 8, dtype=np.float32)
    bounds = np.array([0.5, 1.0, 2.0], np.float32)
    run = partial(_linear_critic, key, rate=1.0)
    each = jax.vmap(jax.vmap(run, in_axes=(0, None)), in_axes=(None, 0))
    gaps = jax.device_get(jax.jit(each)(distances, bounds))[..., -1]
    for bound, gap in zip(bounds, gaps, strict=True):
        axes.plot(distances, gap, "o", label=f"clipped to {bound:g}")
        axes.plot(distances, bound * distances, **plots.THEORY)
    axes.set(xlabel="distance = W1")
    error = np.abs(gaps / np.outer(bounds, distances) - 1).max()
    what = "slope at most K, a weight clipped: gap / (K distance) - 1, largest"
    found = [claims.equal(what, 0, error, 1e-5)]

    # Real data at the first point, fakes at the last, and nothing in between.
    places, gain = np.linspace(0, 2, 41), np.zeros(41)
    gain[0], gain[-1] = 1, -1
    x, y = map(np.asarray, _samples(key, *_PAIRS["plane, ring"], 40))
    for bound in (1.0, 3.0):
        critic = transport.best_critic(places[:, None], gain, bound)
        error = np.abs(np.diff(critic) / np.diff(places) + bound).max()
        what = f"slope at most {bound:g}, best of all functions: slope + K, largest"
        found.append(claims.equal(what, 0, error, 1e-6))
        exact = bound * transport.wasserstein(x, y)
        gap = transport.largest_gap(x, y, bound)
        what = f"slope at most {bound:g}, two clouds in the plane: largest gap"
        found.append(claims.close(what, exact, gap, 1e-6))
    return found


def _critic(
    key: jax.Array,
    weight: jax.Array,
    data: Any,
    model: Any,
    quick: bool,
    penalty: str = "one_sided",
    activation: Any = nn.tanh,
) -> tuple[Any, jax.Array]:
    """A critic trained to its optimum: its logits as a function, and its gap."""
    steps, batch = (500, 128) if quick else (1500, 128)
    keys = jax.random.split(key)
    logit, _ = fitting.tell_apart(
        keys[0],
        data,
        model,
        "wasserstein_gp",
        num_steps=steps,
        batch_size=batch,
        discriminator=networks.MLPDiscriminator((64, 64), activation=activation),
        penalty=PENALTIES[penalty],
        penalty_weight=weight,
    )
    x, y = _samples(keys[1], data, model, 100_000)
    return logit, logit(x).mean() - logit(y).mean()


def _samples(key: jax.Array, data: Any, model: Any, count: int) -> Any:
    keys = jax.random.split(key)
    return data.sample(keys[0], count), model.sample(keys[1], count)


def _exact(name: str, key: jax.Array, weights: np.ndarray) -> tuple[float, Any]:
    """W1, and what the penalty makes of it where a closed form knows."""
    data, model = _PAIRS[name]
    if name == "plane, shifted":
        return float(jnp.linalg.norm(data.means - model.means)), None
    if name == "plane, ring":  # of 1,000 points, four times
        w1 = [
            transport.wasserstein(*_samples(key, data, model, 1000))
            for key in jax.random.split(key, 4)
        ]
        return float(np.mean(w1)), None

    @jax.jit
    def gaps(data: Any, model: Any) -> jax.Array:
        grid = jnp.linspace(1e-3 if "plane" in name else -15, 15, 6001)

        def log_density(mixture: Any) -> jax.Array:
            if "plane" in name:  # of the radius, by symmetry
                scale = mixture.scales[0]
                return jnp.log(grid / scale**2) - grid**2 / (2 * scale**2)
            return mixture.log_density(grid[:, None])

        def penalised(share: jax.Array) -> jax.Array:
            return jnp.exp(log_density(mixtures.interpolated(data, model, share)))

        shares = (jnp.arange(200) + 0.5) / 200
        density = jax.lax.map(penalised, shares).mean(0)
        sides = log_density(data), log_density(model)
        gap = partial(lipschitz.penalised_gap, *sides, density, grid)
        return divergences.wasserstein(*sides, grid), jax.vmap(gap)(weights)

    w1, closed = jax.device_get(gaps(data, model))
    if "plane" in name:
        w1 = divergences.planar_wasserstein(data.scales[0], model.scales[0])
    return float(w1), closed


def _penalised(axes: Any, key: jax.Array, quick: bool) -> list[claims.Claim]:
    fine = np.geomspace(1, 100, 31, dtype=np.float32)
    weights = fine[::15]  # 1, 10, 100
    share = 0.06 if quick else 0.03
    keys = jax.random.split(key)
    found = []
    for place, components in (("line", 2), ("plane", 8)):
        pairs = {name: pair for name, pair in _PAIRS.items() if place in name}

        def gap(weight: jax.Array, data: Any, model: Any) -> jax.Array:
            return _critic(keys[0], weight, data, model, quick)[1]

        data, models = (
            fitting.stack([mixtures.repeat(m, components) for m in side])
            for side in zip(*pairs.values(), strict=True)
        )
        sweep = jax.vmap(jax.vmap(gap, (0, None, None)), (None, 0, 0))
        trained = jax.device_get(jax.jit(sweep)(weights, data, models))
        for name, gaps in zip(pairs, trained, strict=True):
            w1, closed = _exact(name, keys[1], fine)
            axes.semilogx(weights, gaps / w1, "o", label=name)
            what = f"{name}, penalty weight 100: gap, W1"
            found.append(claims.close(what, w1, gaps[-1], share))
            if closed is not None:
                axes.semilogx(fine, closed / w1, **plots.THEORY)
                found += [
                    claims.close(
                        f"{name}, penalty weight {weight:g}: gap", *pair, share
                    )
                    for weight, *pair in zip(weights, closed[::15], gaps, strict=True)
                ]
    axes.set(xlabel="penalty weight", ylabel="gap / W1")
    return found


def _trapped(axes: Any, key: jax.Array, quick: bool) -> list[claims.Claim]:
    """To bend where the real data are, a critic's slope has to pass through 0."""
    weight = 10.0
    w1 = _exact("line, scaled", key, np.array([weight]))[0]
    keys = jax.random.split(key, 8 if quick else 16)
    found = []
    for penalty, colour in (("gradient_penalty", "C1"), ("one_sided", "C0")):

        def run(key: jax.Array, penalty: str = penalty) -> tuple[jax.Array, jax.Array]:
            logit, gap = _critic(
                key, weight, *_SCALES, quick, penalty=penalty, activation=nn.leaky_relu
            )
            return logit(_GRID[:, None]), gap

        curves, gaps = jax.device_get(jax.jit(jax.vmap(run))(keys))
        share = np.mean(gaps > w1 / 2)
        what = (
            f"line, scaled, {penalty}: share of {len(keys)} critics with gap > W1 / 2"
        )
        claim = claims.equal(what, 1, share, 0)
        if penalty == "gradient_penalty":
            claim = claims.at_most(what, 0.9, share)
        found.append(claim)
        if penalty == "one_sided":
            # Nothing pulls the corners of leaky ReLUs to where slopes should change.
            what = "line, scaled, leaky ReLUs: mean gap, the best of one slope"
            closed = lipschitz.uniform_gap(w1, weight)
            share = 0.03 if quick else 0.015
            found.append(claims.close(what, closed, gaps.mean(), share))
        for i, curve in enumerate(curves[:8]):
            label = None if i else penalty
            axes.plot(_GRID, curve - curve[len(_GRID) // 2], colour, lw=1, label=label)
    axes.set(xlabel="x")
    return found


main = partial(theory.main, "lipschitz", measure)

if __name__ == "__main__":
    cli.run(main)
