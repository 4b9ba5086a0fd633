"""What a generator minimises at the optimal discriminator: KL(model, data), and modes.

    python -m experiments.kl_generator

At D* the kl loss is the reverse divergence KL(p_theta, p_data), value and gradient.
Maximum likelihood, and what a VAE bounds, is the forward one. A Gaussian fitted to two
modes covers both under the forward divergence and seeks one under the reverse, by the
closed forms, by samples at D*, and by a GAN that is trained (docs/kl_generator.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from scipy import stats

from experiments import cli, theory
from gan_jax import claims, fitting, networks, plots, training
from gan_jax.data import mixtures
from gan_jax.theory import generator

flags.adopt_module_key_flags(theory)

_GRID = np.linspace(-12, 12, 2401, dtype=np.float32)
_LOSSES = ("minimax", "nonsaturating", "kl")
_WIDTH = 0.5  # of each mode
_FAR = 2.0  # half the distance between the modes
# Two pairs come to much the same: the second of each is drawn over the first, dashed.
_STYLES = {"kl": "C2-", "nonsaturating": "C1--", "likelihood": "C3-", "minimax": "C0--"}


def measure(seed: int, quick: bool) -> tuple[list[claims.Claim], Any]:
    """Checks the identity, fits Gaussians to two modes, and trains GANs on them."""
    titles = ("KL(model, data) at D*", "best Gaussians", "mean of the best Gaussian")
    figure, axes = plots.subplots((*titles, "GANs, trained"), columns=4)
    keys = jax.random.split(jax.random.key(seed), 3)
    found = _identity(axes[0], keys[0])
    of_fits, least = _fits(axes[1], axes[2], keys[1], quick)
    of_gans = _gans(axes[3], keys[2], quick, least)
    return [*found, *of_fits, *of_gans], figure


def _data(half: float | jax.Array) -> mixtures.Mixture:
    """Two modes, ``half`` to each side of 0."""
    half = jnp.asarray(half, jnp.float32)
    return mixtures.on_a_line(jnp.stack([-half, half]), _WIDTH)


def _log_data(half: float | jax.Array) -> generator.LogDensity:
    return lambda x: _data(half).log_density(x[..., None])


def _identity(axes: Any, key: jax.Array) -> list[claims.Claim]:
    """64 models at random places and widths, against the same two modes."""
    low, high = jnp.array([-2.0, -1.0]), jnp.array([2.0, 0.5])
    models = jax.random.uniform(key, (64, 2), minval=low, maxval=high)
    log_data = _log_data(1.0)
    found = []
    for name in _LOSSES:
        loss = partial(
            generator.generator_loss, name, log_data, z=generator.quantiles(20_000)
        )
        exact = partial(generator.divergence, name, log_data, grid=_GRID)
        (value, gradient), (closed, closed_gradient) = (
            jax.device_get(jax.jit(jax.vmap(jax.value_and_grad(function)))(models))
            for function in (loss, exact)
        )
        error = np.linalg.norm(gradient - closed_gradient, axis=1)
        error /= np.linalg.norm(closed_gradient, axis=1)
        what = f"{name}: gradient at D*, largest relative error over 64 models"
        found.append(claims.equal(what, 0, error.max(), 1e-2))
        if name == "kl":
            what = "kl: loss at D* - KL(model, data), largest"
            found.append(claims.equal(what, 0, np.abs(value - closed).max(), 1e-3))
            axes.plot(closed, value, "o", label="64 models")
            axes.axline((0, 0), slope=1, **plots.THEORY)
    axes.set(xlabel="by quadrature", ylabel="kl loss")
    return found


def _fit(
    name: str, key: jax.Array, half: jax.Array, start: jax.Array, quick: bool
) -> Any:
    """A Gaussian by the exact divergence, and one by samples of model or data."""
    log_data, data = _log_data(half), _data(half)
    steps = 300 if quick else 1000

    def sampled(params: jax.Array, key: jax.Array) -> jax.Array:
        if name == "likelihood":
            return -generator.log_model(params, data.sample(key, 512)[:, 0]).mean()
        z = jax.random.normal(key, (512,))
        return generator.generator_loss(name, log_data, params, z)

    def exact(params: jax.Array, _: jax.Array | None = None) -> jax.Array:
        return generator.divergence(name, log_data, params, _GRID)

    run = partial(fitting.minimise, num_steps=steps, key=key)
    optimiser = fitting.decaying_adam(0.05, steps)
    fitted = [run(f, start, optimiser)[0] for f in (exact, sampled)]
    return [(params, exact(params)) for params in fitted]


def _best(name: str, key: jax.Array, halves: jax.Array, quick: bool) -> Any:
    """Of fits from between the modes and from one of them, the better, for each half.

    Returns:
      For the fit by the exact divergence and for that by samples: means ``[halves]``,
      deviations, and the divergence.
    """
    wide = jnp.stack([0 * halves + 0.1, jnp.log(jnp.hypot(halves, _WIDTH))], -1)
    narrow = jnp.stack([halves, 0 * halves + jnp.log(_WIDTH)], -1)
    each = jax.vmap(jax.vmap(partial(_fit, name, quick=quick)), (None, None, 0))
    keys = jax.random.split(key, len(halves))

    def better(params: jax.Array, reached: jax.Array) -> tuple[jax.Array, ...]:
        best = jnp.argmin(reached, 0), jnp.arange(len(halves))
        return params[best][:, 0], jnp.exp(params[best][:, 1]), reached[best]

    return [better(*fit) for fit in each(keys, halves, jnp.stack([wide, narrow]))]


def _fits(
    axes: Any, means: Any, key: jax.Array, quick: bool
) -> tuple[list[claims.Claim], dict[str, float]]:
    """Claims, and the least of each divergence where the modes are far apart."""
    halves = np.append(np.linspace(0.25, 3, 4 if quick else 12), _FAR)
    halves = halves.astype(np.float32)
    axes.fill_between(_GRID, np.exp(jax.jit(_log_data(_FAR))(_GRID)), alpha=0.3)
    found, least = [], {}
    for name, style in _STYLES.items():
        best = jax.jit(partial(_best, name, quick=quick))
        exact, (mean, deviation, reached) = jax.device_get(best(key, halves))
        least[name] = exact[2][-1]
        what = f"{name}: divergence of the fit by samples - the least, largest"
        found.append(claims.equal(what, 0, np.abs(reached - exact[2]).max(), 0.01))
        if name == "likelihood":
            error = np.abs(deviation / np.hypot(halves, _WIDTH) - 1).max()
            found += [
                claims.equal(f"{name}: mean of the fit, the data's", 0, mean[-1], 0.1),
                claims.equal(f"{name}: deviation / the data's - 1", 0, error, 0.03),
            ]
        if name == "kl":
            found += [
                claims.equal(
                    "kl: mean of the fit, a mode's", _FAR, abs(mean[-1]), 0.02
                ),
                claims.equal("kl: deviation, a mode's", _WIDTH, deviation[-1], 0.02),
                claims.equal("kl: KL(fit, data)", np.log(2), reached[-1], 0.01),
            ]
        found += _other(name, mean[-1], deviation[-1])
        density = stats.norm(mean[-1], deviation[-1]).pdf(_GRID)
        axes.plot(_GRID, density, style, label=name)
        means.plot(halves[:-1], np.abs(exact[0][:-1]), style, label=name)
        means.plot(halves[:-1], np.abs(mean[:-1]), ".", color=style[:2])
    axes.set(xlim=(-5, 5), xlabel="x")
    means.set(xlabel="half the distance between the modes")
    return found, least


def _other(name: str, mean: float, deviation: float) -> list[claims.Claim]:
    """The fit of one direction of KL is a bad one by the other direction."""
    known = {
        "kl": ("likelihood", _FAR, _WIDTH),  # one of the modes
        "likelihood": ("kl", 0.0, np.hypot(_FAR, _WIDTH)),  # the moments of the data
    }
    if name not in known:
        return []
    other, *closed = known[name]
    measure = jax.jit(partial(generator.divergence, other, _log_data(_FAR), grid=_GRID))
    exact, measured = (
        measure(np.array([abs(m), np.log(s)], np.float32))
        for m, s in (closed, (mean, deviation))
    )
    what = f"{name}: the {other} divergence of its fit, which is not the least"
    return [claims.close(what, exact, measured, 0.02)]


def _gans(
    axes: Any, key: jax.Array, quick: bool, least: dict[str, float]
) -> list[claims.Claim]:
    """GANs whose generator is a Gaussian, and whose discriminator is a network."""
    steps = 1500 if quick else 3000
    data = _data(_FAR)

    def train(key: jax.Array, mean: jax.Array, width: jax.Array, index: Any) -> Any:
        gan = training.GAN(
            fitting.one_of(_LOSSES, index),
            networks.MLPGenerator(1, ()),
            networks.MLPDiscriminator((64, 64)),
            fitting.decaying_adam(3e-3, steps),  # slower than its discriminator
            fitting.decaying_adam(1e-2, steps),
            latent_size=1,
        )
        state = training.init_state(gan, key, (1,))
        affine = {"kernel": width[None, None], "bias": mean[None]}
        started = state.generator.replace(params={"Dense_0": affine})
        state = state.replace(generator=started)
        run = partial(fitting.train, gan, sample=data.sample, batch_size=256)
        end = run(state, num_steps=steps)[0].generator.params["Dense_0"]
        return end["bias"][0], jnp.abs(end["kernel"][0, 0])

    # The same starts for every loss: narrow ones to either side, and wide between.
    means = np.array([-1.6, -1.0, 1.0, 1.6, -0.5, -0.2, 0.2, 0.5], np.float32)
    widths = np.array([0.8] * 4 + [2.5] * 4, np.float32)
    each = jax.vmap(jax.vmap(train, (0, 0, 0, None)), (None, None, None, 0))
    keys = jax.random.split(key, len(means))
    ends = jax.device_get(jax.jit(each)(keys, means, widths, np.arange(3)))
    found = []
    for loss, mean, width, marker in zip(_LOSSES, *ends, "o<>", strict=True):
        exact = partial(generator.divergence, loss, _log_data(_FAR), grid=_GRID)
        reached = jax.jit(jax.vmap(exact))(np.stack([mean, np.log(width)], -1))
        best = np.argmin(reached)
        what = f"{loss}, the best of {len(means)} trained GANs: divergence"
        found.append(claims.equal(what, least[loss], reached[best], 0.01))
        place = 0.0 if loss == "minimax" else _FAR
        what = f"{loss}, the best of {len(means)} trained GANs: |mean|"
        found.append(claims.equal(what, place, abs(mean[best]), 0.1))
        far = np.abs([np.abs(mean) - _FAR, width - _WIDTH]).max(0)
        share = (far < 0.2)[widths < 1].mean()
        what = f"{loss}: share of 4 narrow starts that end at a mode"
        claim = claims.equal(what, 1, share, 0)
        found.append(claims.at_most(what, 0.5, share) if loss == "minimax" else claim)
        axes.plot(mean, width, marker, color=_STYLES[loss][:2], label=loss)
    axes.plot(means, widths, "k+", label="starts")
    axes.plot([-_FAR, _FAR], [_WIDTH, _WIDTH], "kx", label="modes")
    axes.set(xlabel="mean", ylabel="deviation")
    return found


main = partial(theory.main, "kl_generator", measure)

if __name__ == "__main__":
    cli.run(main)
