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

from experiments import cli, theory
from gan_jax import claims, fitting, networks, plots, training
from gan_jax.data import mixtures
from gan_jax.losses import LOSSES
from gan_jax.theory import fits

flags.adopt_module_key_flags(theory)

_GRID = jnp.linspace(-12, 12, 2401)
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


def _log_data(half: float | jax.Array) -> fits.LogDensity:
    return lambda x: _data(half).log_density(x[..., None])


def _identity(axes: Any, key: jax.Array) -> list[claims.Claim]:
    """64 models at random places and widths, against the same two modes."""
    low, high = jnp.array([-2.0, -1.0]), jnp.array([2.0, 0.5])
    models = jax.random.uniform(key, (64, 2), minval=low, maxval=high)
    log_data = _log_data(1.0)
    found = []
    for name in _LOSSES:
        loss = partial(fits.generator_loss, name, log_data, z=fits.quantiles(20_000))
        exact = partial(fits.divergence, name, log_data, grid=_GRID)
        value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss)))(models)
        closed, closed_gradient = jax.jit(jax.vmap(jax.value_and_grad(exact)))(models)
        error = jnp.abs(gradient - closed_gradient) / jnp.abs(closed_gradient).max()
        what = f"{name}: gradient at D*, largest relative error over 64 models"
        found.append(claims.equal(what, 0, error.max(), 1e-3))
        if name == "kl":
            what = "kl: loss at D* - KL(model, data), largest"
            found.append(claims.equal(what, 0, jnp.abs(value - closed).max(), 1e-3))
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
            return -fits.log_model(params, data.sample(key, 512)[:, 0]).mean()
        z = jax.random.normal(key, (512,))
        return fits.generator_loss(name, log_data, params, z)

    def exact(params: jax.Array, _: jax.Array | None = None) -> jax.Array:
        return fits.divergence(name, log_data, params, _GRID)

    run = partial(fitting.minimise, num_steps=steps, key=key)
    optimiser = fitting.decaying_adam(0.05, steps)
    fitted = [run(f, start, optimiser)[0] for f in (exact, sampled)]
    return fitted, [exact(params) for params in fitted]


def _fits(
    axes: Any, means: Any, key: jax.Array, quick: bool
) -> tuple[list[claims.Claim], dict[str, jax.Array]]:
    """Claims, and the least of each divergence where the modes are far apart."""
    halves = jnp.linspace(0.25, 3, 4 if quick else 12)
    halves = jnp.append(halves, _FAR)
    # From between the modes, and from one of them: the better end is the best fit.
    wide = jnp.stack([0 * halves + 0.1, jnp.log(jnp.hypot(halves, _WIDTH))], -1)
    narrow = jnp.stack([halves, 0 * halves + jnp.log(_WIDTH)], -1)
    starts = jnp.stack([wide, narrow])
    axes.fill_between(_GRID, jnp.exp(_log_data(_FAR)(_GRID)), alpha=0.3, label="data")
    found, least = [], {}
    for name, style in _STYLES.items():
        fit = partial(_fit, name, quick=quick)
        keys = jax.random.split(key, len(halves))
        fit = jax.vmap(jax.vmap(fit), in_axes=(None, None, 0))
        (exact, sampled), (at_exact, at_sampled) = jax.jit(fit)(keys, halves, starts)
        best = jnp.argmin(at_exact, 0), jnp.arange(len(halves))
        exact, least[name] = exact[best], at_exact[best]
        best = jnp.argmin(at_sampled, 0), best[1]
        sampled, reached = sampled[best], at_sampled[best]
        what = f"{name}: divergence of the fit by samples - the least, largest"
        found.append(claims.equal(what, 0, jnp.abs(reached - least[name]).max(), 0.01))
        found += _closed_forms(name, halves, sampled, reached)
        axes.plot(_GRID, jnp.exp(fits.log_model(sampled[-1], _GRID)), style, label=name)
        means.plot(halves[:-1], jnp.abs(exact[:-1, 0]), style, label=name)
        means.plot(halves[:-1], jnp.abs(sampled[:-1, 0]), ".", color=style[:2])
    axes.set(xlim=(-5, 5), xlabel="x")
    means.set(xlabel="half the distance between the modes")
    return found, {name: values[-1] for name, values in least.items()}


def _closed_forms(name: str, halves: Any, fitted: Any, reached: Any) -> list[Any]:
    """What the best Gaussian is known to be: of likelihood, and of kl far apart."""
    mean, deviation = fitted[-1, 0], jnp.exp(fitted[-1, 1])
    if name == "likelihood":
        moments = jnp.hypot(halves, _WIDTH)
        error = jnp.abs(jnp.exp(fitted[:, 1]) / moments - 1).max()
        return [
            claims.equal("likelihood: mean of the fit, the data's", 0, mean, 0.1),
            claims.equal(
                "likelihood: deviation / the data's - 1, largest", 0, error, 0.03
            ),
            claims.at_least(
                "likelihood: reverse KL of its fit: it is not what kl minimises",
                1.0,
                fits.divergence("kl", _log_data(_FAR), fitted[-1], _GRID),
            ),
        ]
    if name == "kl":
        return [
            claims.equal(
                "kl: mean of the fit, one of the modes", _FAR, abs(mean), 0.02
            ),
            claims.equal(
                "kl: deviation of the fit, that mode's", _WIDTH, deviation, 0.02
            ),
            claims.equal(
                "kl: KL(fit, data), one of two modes", np.log(2), reached[-1], 0.01
            ),
            claims.at_least(
                "kl: forward KL of its fit: it is not what likelihood minimises",
                10.0,
                fits.divergence("likelihood", _log_data(_FAR), fitted[-1], _GRID),
            ),
        ]
    return []


def _gans(
    axes: Any, key: jax.Array, quick: bool, least: dict[str, jax.Array]
) -> list[claims.Claim]:
    """GANs whose generator is a Gaussian, and whose discriminator is a network."""
    steps, count = (1000, 4) if quick else (3000, 8)
    data = _data(_FAR)

    def train(key: jax.Array, mean: jax.Array, deviation: float, loss: str) -> Any:
        gan = training.GAN(
            LOSSES[loss],
            networks.MLPGenerator(1, ()),
            networks.MLPDiscriminator((64, 64)),
            fitting.decaying_adam(3e-3, steps),  # slower than its discriminator
            fitting.decaying_adam(1e-2, steps),
            latent_size=1,
        )
        state = training.init_state(gan, key, (1,))
        affine = {"kernel": jnp.full((1, 1), deviation), "bias": mean[None]}
        generator = state.generator.replace(params={"Dense_0": affine})
        state, _ = fitting.train(
            gan,
            state.replace(generator=generator),
            data.sample,
            num_steps=steps,
            batch_size=256,
        )
        end = state.generator.params["Dense_0"]
        return jnp.stack([end["bias"][0], jnp.abs(end["kernel"][0, 0])])

    found = []
    keys = jax.random.split(key, count)
    # From either side, at half a mode's distance or more; minimax from in between.
    means = jnp.linspace(0.5, 1, count) * _FAR * (-1) ** jnp.arange(count)
    for loss, start, deviation, marker in (
        ("minimax", means / 4, 2.0, "o"),
        ("nonsaturating", means, _WIDTH, "<"),
        ("kl", means, _WIDTH, ">"),
    ):
        run = partial(train, deviation=deviation, loss=loss)
        ends = np.asarray(jax.jit(jax.vmap(run))(keys, start))
        axes.plot(*ends.T, marker, color=_STYLES[loss][:2], label=loss)
        far = ends - [0, np.hypot(_FAR, _WIDTH)]
        modes = "between the modes"
        if loss != "minimax":
            far = np.abs(ends) - [_FAR, _WIDTH]
            modes = "at one of the modes"
        what = f"{loss}, {count} trained GANs: share that ends {modes}"
        found.append(claims.equal(what, 1, (np.abs(far) < 0.2).all(-1).mean(), 0))
        params = jnp.stack([ends[:, 0], jnp.log(ends[:, 1])], -1)
        exact = partial(fits.divergence, loss, _log_data(_FAR), grid=_GRID)
        reached = jax.vmap(exact)(params).max()
        what = f"{loss}, trained GANs: divergence, largest"
        found.append(claims.equal(what, least[loss], reached, 0.02))
    axes.plot([-_FAR, _FAR], [_WIDTH, _WIDTH], "kx", label="modes")
    axes.set(xlabel="mean", ylabel="deviation")
    return found


main = partial(theory.main, "kl_generator", measure)

if __name__ == "__main__":
    cli.run(main)
