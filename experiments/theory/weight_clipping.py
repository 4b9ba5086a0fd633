"""What weight clipping does to a Wasserstein critic, beside a gradient penalty.

    python -m experiments.theory.weight_clipping

Critics between real data and the same with unit noise, trained to their optimum. With
their weights clipped, most of these end at the bounds, gradients shrink or grow from
layer to layer by a factor that the bound decides, and the critics see simple functions
only: what they say W1 is falls short. With a penalty nothing of that happens
(docs/weight_clipping.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from flax import linen as nn

from experiments.common import cli, experiment
from gan_jax import networks, plots, training
from gan_jax.data import mixtures
from gan_jax.evaluation import wasserstein
from gan_jax.penalties import one_sided_gradient_penalty
from gan_jax.theory import fitting, theory_table

flags.adopt_module_key_flags(experiment)

# Of about unit variance, as in the paper; each as 1,000 Gaussians: one program for all.
_data = mixtures.once(
    lambda: {
        name: mixtures.repeat(mixture, 1000)
        for name, mixture in {
            "8 Gaussians": mixtures.ring(radius=2**0.5, scale=0.02 / 2**0.5),
            "25 Gaussians": mixtures.grid(spacing=0.5**0.5, scale=0.05 / 8**0.5),
            "Swiss roll": mixtures.swiss_roll(),
        }.items()
    }
)
_CLIPS = np.array([0.1, 0.01, 0.001], np.float32)
_DEEP = (64,) * 11  # twelve layers with the last
_SHALLOW = (128,) * 3
_EXTENT, _SIDE = 3.0, 61
_LINE = np.linspace(-_EXTENT, _EXTENT, _SIDE, dtype=np.float32)
_SQUARE = np.stack(np.meshgrid(_LINE, _LINE), axis=-1).reshape(-1, 2)


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Trains deep critics and shallow ones, clipped and penalised."""
    figure, axes = plots.subplots(
        (
            "gradient norm by layer, Swiss roll",
            "weights, clipped to 0.01",
            "weights, penalised",
            *(f"{name}: clipped" for name in _data()),
            *(f"{name}: penalised" for name in _data()),
        ),
        columns=3,
    )
    keys = jax.random.split(jax.random.key(seed))
    found, norms = _by_layer(axes[0], keys[0], quick)
    found += _surfaces(axes[1:3], axes[3:], keys[1], quick)
    return experiment.Findings(found, figure, details={"gradient_norms": norms})


def _train(
    key: jax.Array,
    data: mixtures.Mixture,
    hidden: tuple[int, ...],
    steps: int,
    clip: jax.Array | None,
) -> tuple[Any, jax.Array, jax.Array]:
    """A critic at its optimum, clipped or penalised.

    Returns:
      Its params; its gap on new samples; its values on a square, ``[points, points]``.
    """
    model = mixtures.with_noise(data, 1.0)
    # The two-sided penalty would trap critics: docs/penalty_price.md.
    constraint = {"penalty": one_sided_gradient_penalty, "penalty_weight": 10.0}
    optimiser = fitting.decaying_adam(3e-3, steps)
    if clip is not None:
        constraint = {"clip": clip}
        # As Adam, but also where gradients are 1e-20 and its epsilon would stop it.
        schedule = optax.cosine_decay_schedule(clip / 10, steps)
        optimiser = optax.sign_sgd(schedule)
    gan = fitting.against(
        model.transform,
        networks.MLPDiscriminator(hidden, activation=nn.relu),
        "wasserstein",
        optimiser,
        latent_size=3,
        **constraint,
    )
    keys = jax.random.split(key)
    state = training.init_state(gan, keys[0], (2,))
    if clip is not None:
        state = _within(state, clip)
    state, _ = fitting.train(gan, state, data.sample, num_steps=steps, batch_size=256)
    logit = partial(training.score, gan, state)
    gap = fitting.gap(logit, keys[1], data, model, 20_000)
    return state.discriminator.params, gap, logit(_SQUARE).reshape(_SIDE, _SIDE)


def _within(state: training.GANState, clip: jax.Array) -> training.GANState:
    """Each layer's weights scaled to half of the bounds: none begins at one."""

    def scale(weights: jax.Array) -> jax.Array:
        return weights * clip / (2 * jnp.maximum(jnp.abs(weights).max(), 1e-9))

    player = state.discriminator
    params = jax.tree.map(scale, player.params)
    return state.replace(discriminator=player.replace(params=params))


def _layers(params: Any) -> list[Any]:
    """Kernel and bias of each layer, from the first."""
    return [params[f"Dense_{i}"] for i in range(len(params))]


def _gradient_norms(params: Any, x: jax.Array) -> jax.Array:
    """Mean norm of the critic's gradient by what each layer gives, ``[layers - 1]``."""
    *hidden, last = _layers(params)

    def score(added: list[jax.Array], x: jax.Array) -> jax.Array:
        for layer, extra in zip(hidden, added, strict=True):
            x = nn.relu(x @ layer["kernel"] + layer["bias"]) + extra
        return (x @ last["kernel"] + last["bias"])[0]

    nothing = [jnp.zeros_like(layer["bias"]) for layer in hidden]
    gradients = jax.vmap(jax.grad(score), (None, 0))(nothing, x)
    return jnp.stack([_norm(g).mean() for g in gradients])


def _norm(g: jax.Array) -> jax.Array:
    """Of each row, also where the squares would be too small for float32."""
    largest = jnp.maximum(jnp.abs(g).max(axis=1), 1e-37)
    return largest * jnp.linalg.norm(g / largest[:, None], axis=1)


def _by_layer(
    axes: Any, key: jax.Array, quick: bool
) -> tuple[list[theory_table.Row], dict[str, list[float]]]:
    """Twelve layers, Swiss roll: by what factor gradients grow on the way back.

    Returns:
      Rows, and the norms by what each layer gives, from the first.
    """
    data = _data()["Swiss roll"]

    keys = jax.random.split(key)

    def norms(clip: jax.Array | None) -> jax.Array:
        params, _, _ = _train(keys[0], data, _DEEP, 300 if quick else 2000, clip)
        return _gradient_norms(params, data.sample(keys[1], 256))

    clipped = jax.device_get(jax.jit(jax.vmap(norms))(_CLIPS))
    penalised = jax.device_get(jax.jit(lambda: norms(None))())
    layers, growth = np.arange(1, len(_DEEP) + 1), []
    names = (*(f"clipped to {clip:g}" for clip in _CLIPS), "penalised")
    for name, norm in zip(names, [*clipped, penalised], strict=True):
        axes.semilogy(layers, norm, "o-", label=name)
        growth.append(np.exp(-np.polyfit(layers, np.log(norm), 1)[0]))
    axes.set(xlabel="layer")
    what = [f"{name}: growth of the gradient's norm, a layer" for name in names]
    # No matrix of entries within +-c stretches more than c times its width.
    most = _CLIPS * _DEEP[0]
    norms_of = dict(zip(names, np.stack([*clipped, penalised]).tolist(), strict=True))
    return [
        theory_table.at_least(f"{what[0]}: it explodes", 1.5, growth[0]),
        *map(theory_table.at_most, what[:3], most, growth[:3]),
        theory_table.close(what[3], 1, growth[3], 0.25),
    ], norms_of


def _surfaces(
    histograms: Any, surfaces: Any, key: jax.Array, quick: bool
) -> list[theory_table.Row]:
    """Critics of every data set: their weights, what they see, and what they say."""
    steps, points = (400, 500) if quick else (3000, 1500)
    keys = jax.random.split(key)
    data = fitting.stack(list(_data().values()))
    draws = jax.device_get(_draw(keys[1], data, points))
    exact = [wasserstein.wasserstein(*both) for both in zip(*draws, strict=True)]
    found = []
    for i, clip in enumerate((0.01, None)):
        kind = "penalised" if clip is None else f"clipped to {clip:g}"
        train = partial(_train, keys[0], hidden=_SHALLOW, steps=steps, clip=clip)
        params, gaps, values = jax.device_get(jax.jit(jax.vmap(train))(data))
        slopes = np.hypot(*np.gradient(values, _LINE[1] - _LINE[0], axis=(1, 2)))
        for j, (name, w1) in enumerate(zip(_data(), exact, strict=True)):
            plots.draw_surface(surfaces[3 * i + j], values[j], _EXTENT, draws[0][j])
            # A critic of slope 1 cannot say more than W1.
            seen = gaps[j] / slopes[j].max() / w1
            what = f"{name}, {kind}: gap / largest slope / W1"
            if clip is None:
                found.append(theory_table.at_least(what, 0.6 if quick else 0.75, seen))
                what, share = f"{name}, {kind}: gap, W1", 0.35 if quick else 0.1
                found.append(theory_table.close(what, w1, gaps[j], share))
            else:
                found.append(theory_table.at_most(what, 0.75, seen))
        kernels = [np.ravel(layer["kernel"]) for layer in _layers(params)]
        weights = np.abs(np.concatenate(kernels))
        share = np.mean(weights > 0.95 * weights.max())
        what = f"{kind}: share of weights within 5 % of the largest"
        bound = theory_table.at_least if clip else theory_table.at_most
        found.append(bound(what, 0.4 if clip else 0.01, share))
        histograms[i].hist(np.concatenate(kernels), 80)
    return found


@partial(jax.jit, static_argnames="count")
def _draw(
    key: jax.Array, data: mixtures.Mixture, count: int
) -> tuple[jax.Array, jax.Array]:
    """Points of each data set, and others with noise: ``[data sets, count, 2]``."""

    def each(data: mixtures.Mixture) -> tuple[jax.Array, jax.Array]:
        keys, model = jax.random.split(key), mixtures.with_noise(data, 1.0)
        return data.sample(keys[0], count), model.sample(keys[1], count)

    return jax.vmap(each)(data)


main = partial(experiment.main, "weight_clipping", measure)

if __name__ == "__main__":
    cli.run(main)
