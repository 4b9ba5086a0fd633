"""What a Wasserstein critic estimates: unconstrained, with a bound, with a price.

    python -m experiments.lipschitz

Between two points an unconstrained critic's objective grows for ever; one whose slope
is limited to K is a line, with a gap of K times the distance: the dual of the
Wasserstein distance. Trained with a gradient penalty of weight lambda, critics say
W1 + W1^2 / (2 lambda), on a line and in the plane; and the two-sided penalty can trap
a critic on a line that the one-sided one does not (docs/lipschitz.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

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
        "gradient penalty: gap",
    )
    titles += ("critics of N(0, 1/4), N(0, 4)",)
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
    """Between two points by gradient steps; between two clouds by a linear program."""
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
    what = "slope at most K, two points: gap / (K distance) - 1, largest"
    found = [claims.equal(what, 0, error, 1e-5)]
    data, model = _PAIRS["plane, ring"]
    x, y = map(np.asarray, _samples(key, data, model, 40))
    for bound in (1.0, 3.0):
        what = f"slope at most {bound:g}, two clouds in the plane: largest gap"
        exact = bound * transport.wasserstein(x, y)
        found.append(
            claims.close(what, exact, transport.largest_gap(x, y, bound), 1e-6)
        )
    return found


def _critic(
    key: jax.Array, weight: jax.Array, data: Any, model: Any, penalty: str, quick: bool
) -> tuple[Any, jax.Array]:
    """A critic trained to its optimum: its logits as a function, and its gap."""
    steps, batch = (400, 64) if quick else (1000, 128)
    logit, _ = fitting.tell_apart(
        key,
        data,
        model,
        "wasserstein_gp",
        num_steps=steps,
        batch_size=batch,
        penalty=PENALTIES[penalty],
        penalty_weight=weight,
    )
    x, y = _samples(jax.random.fold_in(key, 1), data, model, 20_000)
    return logit, logit(x).mean() - logit(y).mean()


def _samples(key: jax.Array, data: Any, model: Any, count: int) -> Any:
    keys = jax.random.split(key)
    return data.sample(keys[0], count), model.sample(keys[1], count)


def _wasserstein(name: str, key: jax.Array) -> float:
    """Closed forms where there are, else by quadrature, else between 1,000 points."""
    data, model = _PAIRS[name]
    if name == "plane, shifted":
        return float(jnp.linalg.norm(data.means - model.means))
    if name == "plane, scaled":  # along rays: the mean of |x| is scale sqrt(pi / 2)
        return float(jnp.abs(data.scales - model.scales)[0] * jnp.sqrt(jnp.pi / 2))
    if name == "plane, ring":
        x, y = _samples(key, data, model, 1000)
        return transport.wasserstein(x, y)
    grid = np.linspace(-15, 15, 6001, dtype=np.float32)

    @jax.jit
    def integral(*pair: Any) -> jax.Array:
        densities = (m.log_density(grid[:, None]) for m in pair)
        return divergences.wasserstein(*densities, grid)

    return float(integral(data, model))


def _penalised(axes: Any, key: jax.Array, quick: bool) -> list[claims.Claim]:
    weights = np.array([1.0, 10.0, 100.0], np.float32)
    fine = np.geomspace(0.8, 125, 50)
    found = []
    for place, components in (("line", 2), ("plane", 8)):
        pairs = {name: pair for name, pair in _PAIRS.items() if place in name}

        def gap(weight: jax.Array, data: Any, model: Any) -> jax.Array:
            return _critic(key, weight, data, model, "one_sided", quick)[1]

        data, models = (
            fitting.stack([mixtures.repeat(m, components) for m in side])
            for side in zip(*pairs.values(), strict=True)
        )
        sweep = jax.vmap(jax.vmap(gap, (0, None, None)), (None, 0, 0))
        for name, gaps in zip(
            pairs, jax.jit(sweep)(weights, data, models), strict=True
        ):
            exact = _wasserstein(name, key)
            axes.semilogx(weights, gaps, "o", label=name)
            axes.plot(fine, lipschitz.penalised_gap(exact, fine), **plots.THEORY)
            found += [
                claims.close(
                    f"{name}, penalty weight {weight:g}: gap",
                    lipschitz.penalised_gap(exact, weight),
                    value,
                    0.05 if quick else 0.03,
                )
                for weight, value in zip(weights, gaps, strict=True)
            ]
    axes.set(xlabel="penalty weight")
    return found


def _trapped(axes: Any, key: jax.Array, quick: bool) -> list[claims.Claim]:
    """To bend where the real data are, a critic's slope has to pass through 0."""
    data, model = _SCALES
    exact = lipschitz.penalised_gap(_wasserstein("line, scaled", key), 10.0)
    found = []
    keys = jax.random.split(key, 8 if quick else 16)
    for penalty, colour in (("gradient_penalty", "C1"), ("one_sided", "C0")):

        def run(key: jax.Array, penalty: str = penalty) -> tuple[jax.Array, jax.Array]:
            logit, gap = _critic(key, 10.0, data, model, penalty, quick)
            return logit(_GRID[:, None]), gap

        curves, gaps = jax.device_get(jax.jit(jax.vmap(run))(keys))
        share = np.mean(np.abs(gaps / exact - 1) < 0.05)
        what = f"line, scaled, {penalty}: share of {len(keys)} critics within 5 %"
        claim = claims.equal(what, 1, share, 0)
        if penalty == "gradient_penalty":
            claim = claims.at_most(what, 0.9, share)
        found.append(claim)
        for i, curve in enumerate(curves[:8]):
            label = None if i else penalty
            axes.plot(_GRID, curve - curve[len(_GRID) // 2], colour, lw=1, label=label)
    axes.set(xlabel="x")
    return found


main = partial(theory.main, "lipschitz", measure)

if __name__ == "__main__":
    cli.run(main)
