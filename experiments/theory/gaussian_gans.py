"""Where a GAN ends whose generator is one Gaussian and whose data have two modes.

    python -m experiments.theory.gaussian_gans

The least value of the kl and of the non-saturating loss is at a mode, that of minimax
between the modes. Trained from the same starts, the best of each loss converges to its
least value; where the others end depends on where they began (docs/gaussian_gans.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from scipy import optimize

from experiments.common import cli, experiment
from gan_jax import networks, plots, training
from gan_jax.data import mixtures
from gan_jax.theory import fitting, generator_loss, theory_table

flags.adopt_module_key_flags(experiment)

_LOSSES = ("minimax", "nonsaturating", "kl")
_WIDTH = 0.5  # of each mode
_FAR = 2.0  # half the distance between the modes
_GRID = np.linspace(-12, 12, 2401, dtype=np.float32)
# The same starts for every loss: narrow ones to either side, and wide between.
_MEANS = np.array([-1.6, -1.0, 1.0, 1.6, -0.5, -0.2, 0.2, 0.5], np.float32)
_WIDTHS = np.array([0.8] * 4 + [2.5] * 4, np.float32)


def _data() -> mixtures.Mixture:
    return mixtures.on_a_line([-_FAR, _FAR], _WIDTH)


def _train(key: jax.Array, mean: Any, width: Any, index: Any, steps: int) -> Any:
    """Mean and deviation at which a GAN with one of the losses ends."""
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
    state, _ = fitting.train(
        gan,
        state.replace(generator=started),
        _data().sample,
        num_steps=steps,
        batch_size=256,
    )
    end = state.generator.params["Dense_0"]
    return end["bias"][0], jnp.abs(end["kernel"][0, 0])


def measure(seed: int, quick: bool) -> tuple[list[theory_table.Row], Any]:
    """Trains every loss from every start, all at once."""
    train = partial(_train, steps=1000 if quick else 3000)
    each = jax.vmap(jax.vmap(train, (0, 0, 0, None)), (None, None, None, 0))
    keys = jax.random.split(jax.random.key(seed), len(_MEANS))
    ends = jax.device_get(jax.jit(each)(keys, _MEANS, _WIDTHS, np.arange(3)))
    figure, axes = plots.subplots([f"{loss}: where 8 GANs end" for loss in _LOSSES])
    found = []
    for panel, loss, mean, width in zip(axes, _LOSSES, *ends, strict=True):
        found += _rows(loss, mean, width, 2 if quick else 1)
        panel.plot([_MEANS, mean], [_WIDTHS, width], "C7-", lw=0.5)
        panel.plot(_MEANS, _WIDTHS, "k+", label="start")
        panel.plot(mean, width, "o", label="end")
        panel.plot([-_FAR, _FAR], [_WIDTH, _WIDTH], "kx", label="modes")
        panel.set(xlabel="mean", ylabel="deviation", xlim=(-2.5, 2.5), ylim=(0.3, 2.7))
    return found, figure


def _rows(
    loss: str, mean: np.ndarray, width: np.ndarray, loose: float
) -> list[theory_table.Row]:
    @jax.jit
    def exact(params: jax.Array) -> jax.Array:
        return generator_loss.divergence(
            loss, lambda x: _data().log_density(x[:, None]), params, _GRID
        )

    starts = np.stack([_MEANS, np.log(_WIDTHS)], -1)
    search = partial(optimize.minimize, exact, method="Nelder-Mead")
    least = min((search(start) for start in starts), key=lambda fit: fit.fun)
    reached = np.array([exact(end) for end in np.stack([mean, np.log(width)], -1)])
    best = np.argmin(reached)
    at_a_mode = np.abs([np.abs(mean) - _FAR, width - _WIDTH]).max(0) < 0.2
    narrow, wide = at_a_mode[_WIDTHS < 1].mean(), at_a_mode[_WIDTHS > 1].mean()
    of_starts = f"{loss}: share of 4 narrow starts that end at a mode"
    trained = f"{loss}, the best of {len(mean)} trained GANs"
    place = 0.0 if loss == "minimax" else _FAR
    return [
        theory_table.equal(
            f"{loss}: |mean| of the least divergence", place, abs(least.x[0]), 0.02
        ),
        theory_table.equal(
            f"{trained}: divergence", least.fun, reached[best], loose * 0.01
        ),
        theory_table.equal(f"{trained}: |mean|", place, abs(mean[best]), loose * 0.1),
        theory_table.at_most(of_starts, 0.5, narrow)
        if loss == "minimax"
        else theory_table.equal(of_starts, 1, narrow, 0),
        theory_table.equal(of_starts.replace("narrow", "wide"), 0, wide, 0),
    ]


main = partial(experiment.main, "gaussian_gans", measure)

if __name__ == "__main__":
    cli.run(main)
