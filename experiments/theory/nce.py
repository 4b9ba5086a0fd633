"""Noise-contrastive estimation: densities learnt by telling data from noise.

    python -m experiments.theory.nce

An energy and its log Z are trained to tell data from a noise of known density. For a
Gaussian they converge to its covariance and to log Z's closed form; for eight Gaussians
on a ring a network's mass converges to 1 by itself, if the noise is well chosen. The
discriminator of a GAN against the same noise learns the same density (docs/nce.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax import linen as nn

from experiments.common import cli, experiment, tables
from gan_jax import networks, plots
from gan_jax.data import mixtures
from gan_jax.theory import divergences, fitting, nce, theory_table

flags.adopt_module_key_flags(experiment)

# The Gaussian: its mean, and a root of its covariance.
_MEAN = np.array([[-1.0, 0.0, 1.0]], np.float32)
_ROOT = np.array([[1.0, 0, 0], [0.8, 0.6, 0], [-0.3, 0.4, 0.7]], np.float32)
_EXTENT = 6.0  # of the square on which densities are integrated
_FITTED = "fitted, with kernels"
# Points in the plane to energies, and to the logits of the GAN's discriminator.
_NETWORK = networks.MLPDiscriminator((64,) * 3, activation=nn.relu)
_SHOWN = 3.0
_LINE = np.linspace(-_SHOWN, _SHOWN, 151, dtype=np.float32)
_SQUARE = np.stack(np.meshgrid(_LINE, _LINE), axis=-1).reshape(-1, 2)


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Trains energies of a Gaussian and of a ring, against several noises."""
    ring = mixtures.ring(scale=0.1 if quick else 0.02)
    noises = _noises(ring)
    titles = ("a Gaussian in 3-D", "the ring: log density", "a GAN's discriminator")
    titles += ("logit and log ratio", *(f"noise: {name}" for name in noises))
    figure, axes = plots.subplots(titles, columns=4)
    keys = jax.random.split(jax.random.key(seed), 3)
    found = _gaussian(axes[0], keys[0], quick)
    _draw(axes[1], ring.log_density(_SQUARE))
    on_ring, table, learnt = _ring(axes[4:], ring, noises, keys[1], quick)
    found += on_ring + _discriminator(axes[2:4], keys[2], quick)
    return experiment.Findings(found, figure, [table], {"ring": learnt})


def _noises(ring: mixtures.Mixture) -> dict[str, mixtures.Mixture]:
    """What the ring is told from, each written with 16 Gaussians: one program for all.

    The last is half a Gaussian with the data's mean and variance, which is everywhere,
    and half the data with a kernel's noise, near them: what a normal fit and a kernel
    estimate converge to when there are many data.
    """
    fitted = mixtures.gaussian(ring.mean(), jnp.sqrt(ring.variance().mean()))
    kernels = mixtures.with_noise(ring, 2.5 * ring.scales[0])
    both = [mixtures.repeat(part, 8) for part in (fitted, kernels)]
    weights, means, scales = map(jnp.concatenate, zip(*both, strict=True))
    narrow, wide = (mixtures.gaussian(ring.mean(), scale) for scale in (0.5, 6.0))
    gaussians = {"narrow": narrow, "wide": wide, "fitted Gaussian": fitted}
    return {name: mixtures.repeat(noise, 16) for name, noise in gaussians.items()} | {
        _FITTED: mixtures.Mixture(weights / 2, means, scales)
    }


def _train(
    key: jax.Array,
    energy: Any,
    params: Any,
    sample: fitting.Sampler,
    noise: mixtures.Mixture,
    steps: int,
    batch: int,
) -> Any:
    """Params and log Z, ``{"energy": ..., "log_z": ...}``, after NCE."""

    def objective(model: Any, key: jax.Array) -> jax.Array:
        keys = jax.random.split(key)
        samples = sample(keys[0], batch), noise.sample(keys[1], batch)
        scores = partial(energy, model["energy"])
        return nce.nce_loss(scores, model["log_z"], noise.log_density, *samples)

    model = {"energy": params, "log_z": jnp.zeros(())}
    optimiser = fitting.decaying_adam(1e-2, steps)
    return fitting.minimise(objective, model, optimiser, num_steps=steps, key=key)[0]


def _quadratic(params: Any, x: jax.Array) -> jax.Array:
    """``x^T A x / 2 - b^T x``, ``[batch]``."""
    squares = jnp.einsum("bi,ij,bj->b", x, params["precision"], x)
    return squares / 2 - x @ params["shift"]


def _gaussian(axes: Any, key: jax.Array, quick: bool) -> list[theory_table.Row]:
    """A quadratic energy of a Gaussian: all that it learns has a closed form."""
    noise = mixtures.gaussian(_MEAN[0], 1.5)

    def sample(key: jax.Array, count: int) -> jax.Array:
        return _MEAN + jax.random.normal(key, (count, 3)) @ _ROOT.T

    start = {"precision": jnp.eye(3), "shift": jnp.zeros(3)}
    sizes = (1500, 512) if quick else (4000, 2048)
    train = partial(_train, energy=_quadratic, params=start)
    train = partial(train, sample=sample, noise=noise, steps=sizes[0], batch=sizes[1])
    models = jax.device_get(jax.jit(jax.vmap(train))(jax.random.split(key, 4)))
    learnt = models["energy"]
    covariances = np.linalg.inv(learnt["precision"])
    means = np.linalg.solve(learnt["precision"], learnt["shift"][..., None])[..., 0]
    covariance = _ROOT @ _ROOT.T
    precision = np.linalg.inv(covariance)
    log_z = nce.gaussian_log_z(precision, precision @ _MEAN[0])
    axes.plot(covariance.ravel(), covariances.reshape(4, -1).T, ".", color="C0")
    axes.plot([], [], ".", color="C0", label="covariance")
    axes.plot(np.full(4, log_z), models["log_z"], "o", color="C1", label="log Z")
    axes.axline((0, 0), slope=1, **plots.THEORY)
    axes.set(xlabel="closed form", ylabel="learnt, four times")
    loose = 5 if quick else 1
    return [
        theory_table.equal("Gaussian: " + what, 0, np.abs(off).max(), loose * tolerance)
        for what, off, tolerance in (
            ("log Z - closed form, largest of 4", models["log_z"] - log_z, 0.02),
            ("covariance, largest error", covariances - covariance, 0.02),
            ("mean, largest error", means - _MEAN, 0.02),
        )
    ]


def _ring(
    axes: Any,
    ring: mixtures.Mixture,
    noises: dict[str, mixtures.Mixture],
    key: jax.Array,
    quick: bool,
) -> tuple[list[theory_table.Row], str, list[dict[str, Any]]]:
    """A network's energy of the ring: three seeds against the best noise, one each.

    Returns:
      Rows; a table of noise, mass and KL; and the same as numbers.
    """
    names = [*noises] if quick else [*noises, _FITTED, _FITTED]

    def energy(params: Any, x: jax.Array) -> jax.Array:
        return _NETWORK.apply({"params": params}, x)

    def train(key: jax.Array, noise: mixtures.Mixture) -> Any:
        params = _NETWORK.init(key, jnp.zeros((1, 2)))["params"]
        sizes = (1500, 512) if quick else (8000, 1024)
        model = _train(key, energy, params, ring.sample, noise, *sizes)
        scores = partial(energy, model["energy"])
        log_model = partial(nce.log_density, scores, model["log_z"])
        return log_model(_SQUARE), *_integrals(log_model, ring, quick)

    keys = jax.random.split(key, len(names))
    stacked = fitting.stack([noises[name] for name in names])
    values, mass, kl = jax.device_get(jax.jit(jax.vmap(train))(keys, stacked))
    rows = [
        [name, f"{m:.4g}", f"{k:.4f}"]
        for name, m, k in zip(names, mass, kl, strict=True)
    ]
    for panel, value, (_, m, k) in zip(axes, values, rows, strict=False):
        _draw(panel, value)
        panel.set(xlabel=f"mass {m}, KL {k}")
    best = np.array([name == _FITTED for name in names])
    least = kl[best].max()
    narrow, wide = (kl[names.index(name)] for name in ("narrow", "wide"))
    found = [
        theory_table.equal(
            f"ring, {_FITTED}: mass - 1, largest",
            0,
            np.abs(mass[best] - 1).max(),
            0.05 if quick else 0.02,
        ),
        theory_table.at_most(f"ring, {_FITTED}: KL, largest", 0.05, least),
        theory_table.at_least("ring, narrow noise: KL", 1, narrow),
        theory_table.at_least(
            "ring, wide noise: KL over that of fitted", 2, wide / least
        ),
    ]
    learnt = [
        {"noise": name, "mass": float(m), "kl": float(k)}
        for name, m, k in zip(names, mass, kl, strict=True)
    ]
    return found, tables.as_text(("noise", "mass", "KL(data, model)"), rows), learnt


def _integrals(
    log_model: Any, ring: mixtures.Mixture, quick: bool
) -> tuple[jax.Array, jax.Array]:
    """Mass, and KL from the ring."""
    points = 240 if quick else 1200  # half a deviation apart
    return divergences.mass_and_kl(log_model, ring.log_density, _EXTENT, points)


def _discriminator(axes: Any, key: jax.Array, quick: bool) -> list[theory_table.Row]:
    """A GAN's discriminator of a softer ring, whose generator is the noise.

    It has to find the log ratio itself, where NCE is told the noise's density.
    """
    ring = mixtures.ring(scale=0.1)
    noise = _noises(ring)["fitted Gaussian"]
    keys = jax.random.split(key, 3)
    sides = zip(keys[:2], (ring, noise), strict=True)
    points = jnp.concatenate([side.sample(key, 500) for key, side in sides])
    steps, batch, loose = (1500, 512, 2) if quick else (4000, 2048, 1)

    @jax.jit
    def train(key: jax.Array) -> tuple[jax.Array, ...]:
        logit, _ = fitting.tell_apart(
            key,
            ring,
            noise,
            "nonsaturating",
            num_steps=steps,
            batch_size=batch,
            discriminator=_NETWORK,
        )

        def log_model(x: jax.Array) -> jax.Array:
            return logit(x) + noise.log_density(x)

        return logit(points), log_model(_SQUARE), *_integrals(log_model, ring, True)

    logits, values, mass, kl = jax.device_get(train(keys[2]))
    ratios = np.asarray(ring.log_density(points) - noise.log_density(points))
    _draw(axes[0], values)
    axes[1].plot(np.maximum(ratios, -15), np.maximum(logits, -15), ".", ms=3)
    axes[1].axline((0, 0), slope=1, **plots.THEORY)
    axes[1].set(xlabel="log p_data - log p_noise", ylabel="logit")
    known = ratios > -2  # beyond, a logit can be anything: the sigmoid is 0
    what = "discriminator, deviation 0.1: "
    return [
        theory_table.equal(what + "mass of p_noise e^h - 1", 0, mass - 1, loose * 0.05),
        theory_table.at_most(what + "KL(data, p_noise e^h)", 0.05, kl),
        theory_table.equal(
            what + "median |logit - log ratio|, where that is above -2",
            0,
            np.median(np.abs(logits - ratios)[known]),
            loose * 0.1,
        ),
    ]


def _draw(axes: Any, log_density: np.ndarray) -> None:
    """Log density on `_SQUARE`; what is below e^-10 is as white as that."""
    side = round(len(log_density) ** 0.5)
    image = np.asarray(log_density).reshape(side, side)
    sides = (-_SHOWN, _SHOWN) * 2
    axes.imshow(image, origin="lower", extent=sides, cmap="magma_r", vmin=-10, vmax=4)
    axes.grid(visible=False)


main = partial(experiment.main, "nce", measure)

if __name__ == "__main__":
    cli.run(main)
