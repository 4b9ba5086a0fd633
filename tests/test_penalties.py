"""The penalties against closed forms, finite differences, loops and float64 NumPy."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.flatten_util import ravel_pytree

from gan_jax import penalties
from gan_jax.errors import UserError
from gan_jax.penalties import PENALTIES

# From the norms of the critic's gradients to the penalty, where they are the same at
# every point that the penalty may look at.
OF_NORM = {
    "gradient_penalty": lambda norm: (norm - 1) ** 2,
    "one_sided": lambda norm: np.maximum(norm - 1, 0) ** 2,
    "dragan": lambda norm: (norm - 1) ** 2,
    "r1": lambda norm: norm**2 / 2,
    "r2": lambda norm: norm**2 / 2,
    "r1_r2": lambda norm: norm**2,
}


def batch_of(shape, seed=0, scale=1.0):
    """Real and fake examples in NumPy's float64, and a key for each."""
    rng = np.random.default_rng(seed)
    real, fake = scale * rng.normal(size=(2, *shape))
    return real, fake, jax.random.split(jax.random.key(seed), shape[0])


def as_float32(*arrays):
    return [jnp.asarray(a, jnp.float32) for a in arrays]


def test_every_penalty_is_tested():
    assert set(PENALTIES) == set(OF_NORM)


# Linear critics


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize(("batch", "seed"), [(1, 0), (7, 1)])
@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_closed_form_whatever_the_batch(
    name, batch, seed, norm
):
    w = np.random.default_rng(seed).normal(size=5)
    (w,) = as_float32(norm * w / np.linalg.norm(w))
    real, fake, keys = batch_of((batch, 5), seed, scale=10.0)
    value = PENALTIES[name](lambda x: w @ x, *as_float32(real, fake), keys)
    chex.assert_shape(value, ())
    np.testing.assert_allclose(value, OF_NORM[name](norm), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_the_norm_runs_over_all_axes_of_an_image(name):
    w = np.random.default_rng(0).normal(size=(28, 28, 1)) / 14
    (w32,) = as_float32(w)
    real, fake, keys = batch_of((3, 28, 28, 1))
    value = PENALTIES[name](lambda x: (w32 * x).sum(), *as_float32(real, fake), keys)
    expected = OF_NORM[name](math.sqrt((w**2).sum()))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_critic_that_ignores_its_input_has_finite_gradients(name):
    real, fake, keys = batch_of((4, 3))

    def penalty(w):
        return PENALTIES[name](lambda x: w @ x + 1, *as_float32(real, fake), keys)

    value, gradient = jax.value_and_grad(penalty)(jnp.zeros(3))
    assert value == OF_NORM[name](0.0)
    chex.assert_trees_all_equal(gradient, jnp.zeros(3))


def test_an_example_without_gradient_leaves_the_others_their_own():
    # relu(w.x) is flat at the first example and linear at the second, so the penalty
    # is (1 + (||w|| - 1)^2) / 2 and its gradient is (||w|| - 1) w / ||w||.
    w = jnp.array([3.0, 4.0])
    points = jnp.array([[-1.0, -1.0], [1.0, 1.0]])
    keys = jax.random.split(jax.random.key(0), 2)

    def penalty(w):
        critic = lambda x: jax.nn.relu(w @ x)  # noqa: E731
        return penalties.gradient_penalty(critic, points, points, keys)

    value, gradient = jax.value_and_grad(penalty)(w)
    np.testing.assert_allclose(value, (1 + 16) / 2, rtol=1e-6)
    np.testing.assert_allclose(gradient, [4 * 3 / 5, 4 * 4 / 5], rtol=1e-6)


# Nonlinear critics, in JAX and with their gradients in float64 NumPy


def mlp_params(seed=0, inputs=3, hidden=4):
    rng = np.random.default_rng(seed)
    w, b, v = rng.normal(size=(inputs, hidden)), rng.normal(size=hidden), rng.normal
    return {"w": w, "b": b, "v": v(size=hidden)}


def mlp_critic(params, x):
    return params["v"] @ jnp.tanh(x @ params["w"] + params["b"])


def mlp_gradients(params, points):
    active = 1 - np.tanh(points @ params["w"] + params["b"]) ** 2
    return (active * params["v"]) @ params["w"].T


def conv_params(seed=0):
    rng = np.random.default_rng(seed)
    return {"k": rng.normal(size=(2, 2, 1, 3)), "v": rng.normal(size=(3, 4, 3))}


def conv_critic(params, x):
    """A valid 2 x 2 convolution of a [4, 5, 1] image, tanh, and a linear layer."""
    y = jax.lax.conv_general_dilated(
        x[None],
        params["k"],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return (params["v"] * jnp.tanh(y[0])).sum()


def conv_gradients(params, points):
    k, windows = params["k"], [(i, j) for i in range(2) for j in range(2)]
    shift = {(i, j): np.s_[:, i : i + 3, j : j + 4] for i, j in windows}
    y = sum(points[shift[ij]] @ k[ij] for ij in windows)
    back = params["v"] * (1 - np.tanh(y) ** 2)
    gradients = np.zeros_like(points)
    for ij in windows:
        gradients[shift[ij]] += back @ k[ij].T
    return gradients


CRITICS = {
    "mlp": (mlp_critic, mlp_gradients, mlp_params, (3,)),
    "convolution": (conv_critic, conv_gradients, conv_params, (4, 5, 1)),
}


def squares_in_numpy(gradients_of, params, points):
    gradients = gradients_of(params, np.float64(points))
    return (gradients.reshape(len(points), -1) ** 2).sum(axis=1)


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_gradient_norms_are_those_of_float64_numpy(kind, mode):
    critic, gradients_of, make_params, shape = CRITICS[kind]
    params = make_params()
    params32 = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)
    (points,) = as_float32(batch_of((6, *shape))[0])
    expected = squares_in_numpy(gradients_of, params, points)
    wrap = {"eager": lambda f: f, "jit": jax.jit}[mode]
    for function, value in (
        (penalties.squared_gradient_norms, expected),
        (penalties.gradient_norms, np.sqrt(expected)),
    ):
        measured = wrap(lambda x, f=function: f(lambda x: critic(params32, x), x))
        np.testing.assert_allclose(measured(points), value, rtol=2e-5)


def test_gradient_norms_are_those_of_a_loop_over_examples():
    critic, _, make_params, shape = CRITICS["convolution"]
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), make_params())
    (points,) = as_float32(batch_of((5, *shape))[0])
    loop = [jnp.linalg.norm(jax.grad(critic, 1)(params, x).ravel()) for x in points]
    measured = penalties.gradient_norms(lambda x: critic(params, x), points)
    np.testing.assert_allclose(measured, loop, rtol=1e-5)


def points_of(name, real, fake, keys):
    """Where a penalty looks."""
    if name in ("gradient_penalty", "one_sided"):
        return penalties.interpolate(real, fake, keys)
    if name == "dragan":
        noise = [jax.random.normal(key, real.shape[1:]) for key in keys]
        return real + jnp.stack(noise) / 2
    return {"r1": real, "r2": fake, "r1_r2": jnp.concatenate([real, fake])}[name]


@pytest.mark.parametrize("kind", CRITICS)
@pytest.mark.parametrize("name", PENALTIES)
def test_penalty_is_that_of_float64_numpy_jitted_or_not(kind, name):
    critic, gradients_of, make_params, shape = CRITICS[kind]
    params = make_params()
    params32 = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)
    real, fake, keys = batch_of((6, *shape))
    real, fake = as_float32(real, fake)
    points = points_of(name, real, fake, keys)
    norms = np.sqrt(squares_in_numpy(gradients_of, params, points))
    expected = OF_NORM[name](norms).mean()  # of r1_r2, half of each mean is that of all

    def penalty(*batch):
        return PENALTIES[name](lambda x: critic(params32, x), *batch)

    for function in (penalty, jax.jit(penalty)):
        np.testing.assert_allclose(function(real, fake, keys), expected, rtol=2e-5)


# jaxlib 0.10.2 compiles `vmap(row -> sum((M @ row)**2))` wrongly on CPU: the last row
# of 32,769 in float32 comes out too small (https://github.com/jax-ml/jax/issues/39103).
# The norm of a gradient is such a sum.
@pytest.mark.parametrize("rows", [32_769, 50_176])
@pytest.mark.parametrize("kind", ["quadratic", "mlp"])
def test_jitted_penalties_of_many_rows_are_those_of_float64_numpy(rows, kind):
    m = np.random.default_rng(1).normal(size=(3, 3))
    points = np.random.default_rng(2).normal(size=(rows, 3))
    points[-1] = 10.0  # so that the last row alone would show in the mean
    (points, m32), params = as_float32(points, m), mlp_params()
    params32 = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)

    def critic(x):
        return (
            jnp.sum((m32 @ x) ** 2) if kind == "quadratic" else mlp_critic(params32, x)
        )

    @jax.jit
    def compiled(points):
        keys = jax.random.split(jax.random.key(0), rows)
        return (
            penalties.squared_gradient_norms(critic, points),
            penalties.gradient_penalty(critic, points, points, keys),
            penalties.r1_penalty(critic, points, points, keys),
        )

    gradients = (
        2 * np.float64(points) @ m.T @ m
        if kind == "quadratic"
        else mlp_gradients(params, np.float64(points))
    )
    expected = (gradients**2).sum(axis=1)
    squares, two_sided, r1 = compiled(points)
    np.testing.assert_allclose(squares, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(two_sided, np.mean((expected**0.5 - 1) ** 2), rtol=1e-5)
    np.testing.assert_allclose(r1, expected.mean() / 2, rtol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_by_the_parameters_is_the_finite_difference(name):
    with jax.enable_x64(True):
        flat, unflatten = ravel_pytree(
            jax.tree.map(jnp.asarray, mlp_params(inputs=2, hidden=3))
        )
        real, fake, keys = batch_of((4, 2))

        @jax.jit
        def penalty(flat):
            critic = lambda x: mlp_critic(unflatten(flat), x)  # noqa: E731
            return PENALTIES[name](critic, jnp.asarray(real), jnp.asarray(fake), keys)

        gradient, step = jax.grad(penalty)(flat), 1e-5
        for i, derivative in enumerate(gradient):
            change = penalty(flat.at[i].add(step)) - penalty(flat.at[i].add(-step))
            np.testing.assert_allclose(derivative, change / (2 * step), 1e-6, 1e-8)


# Where the points lie. The critic ||x||^2 / 2 has the gradient x: its norms tell.


def half_square(x):
    return jnp.sum(x**2) / 2


def mixes_of(keys, shape=()):
    """The `a` of each key: what a real example of 0 and a fake of 1 give."""
    real = jnp.zeros((len(keys), *shape))
    return penalties.interpolate(real, real + 1, keys)


def test_mixes_are_uniform_in_the_unit_interval():
    a = np.sort(mixes_of(jax.random.split(jax.random.key(0), 20_000)))
    assert 0 <= a[0] < a[-1] <= 1
    # Kolmogorov-Smirnov: a false alarm has odds of 1e-5, and the key is fixed.
    distance = np.abs(a - (np.arange(len(a)) + 0.5) / len(a)).max()
    assert distance < 2.47 / math.sqrt(len(a))


def test_an_example_is_mixed_by_one_number_for_all_its_pixels():
    keys = jax.random.split(jax.random.key(0), 6)
    images = mixes_of(keys, (4, 5, 1))
    chex.assert_trees_all_equal(
        images, jnp.broadcast_to(images[:, :1, :1], (6, 4, 5, 1))
    )
    assert len(np.unique(images)) == 6


def test_interpolated_points_lie_on_the_segment_from_real_to_fake():
    real, fake, keys = batch_of((6, 4, 5, 1))
    a = np.float64(mixes_of(keys)).reshape(6, 1, 1, 1)
    points = penalties.interpolate(*as_float32(real, fake), keys)
    np.testing.assert_allclose(points, a * fake + (1 - a) * real, rtol=1e-5, atol=1e-6)


def test_the_number_drawn_from_a_key_is_the_weight_of_the_fake():
    keys = jax.random.split(jax.random.key(0), 6)
    chex.assert_trees_all_close(mixes_of(keys), jax.vmap(jax.random.uniform)(keys))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_interpolation_keeps_the_dtype(dtype):
    keys = jax.random.split(jax.random.key(0), 2)
    points = penalties.interpolate(*jnp.zeros((2, 2, 3), dtype), keys)
    chex.assert_type(points, jnp.dtype(dtype))


def test_interpolating_batches_of_two_shapes_is_refused():
    keys = jax.random.split(jax.random.key(0), 3)
    with pytest.raises(AssertionError):
        penalties.interpolate(jnp.zeros((3, 2)), jnp.zeros((3, 1)), keys)


@pytest.mark.parametrize("name", ["gradient_penalty", "dragan"])
def test_random_numbers_of_an_example_depend_on_its_own_key_only(name):
    # Each example's penalty is the same alone, and in a shuffled batch.
    keys = jax.random.split(jax.random.key(0), 5)
    real, fake = jnp.zeros((5, 2)), jnp.ones((5, 2))

    def alone(i):
        part = slice(i, i + 1)
        return PENALTIES[name](half_square, real[part], fake[part], keys[part])

    values = [alone(i) for i in range(5)]
    assert len(np.unique(values)) == 5
    together = PENALTIES[name](half_square, real, fake, keys)
    np.testing.assert_allclose(together, np.mean(values), rtol=1e-6)
    part = jnp.array([3, 1])
    some = PENALTIES[name](half_square, real[part], fake[part], keys[part])
    np.testing.assert_allclose(some, (values[3] + values[1]) / 2, rtol=1e-6)


def test_gradient_penalty_looks_between_real_and_fake():
    # From 0 to a unit vector the norm is a itself: E[(a - 1)^2] = 1/3.
    keys = jax.random.split(jax.random.key(0), 20_000)
    real = jnp.zeros((20_000, 2))
    fake = real.at[:, 0].set(1)
    value = penalties.gradient_penalty(half_square, real, fake, keys)
    np.testing.assert_allclose(value, 1 / 3, atol=0.01)
    assert penalties.one_sided_gradient_penalty(half_square, real, fake, keys) == 0


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_dragan_looks_at_gaussian_noise_around_the_data(scale):
    # Around 0 the norm is scale * chi_2, with E chi_2 = sqrt(pi/2) and E chi_2^2 = 2.
    keys = jax.random.split(jax.random.key(0), 20_000)
    zeros = jnp.zeros((20_000, 2))
    value = penalties.dragan_penalty(half_square, zeros, zeros, keys, scale=scale)
    expected = 2 * scale**2 - 2 * scale * math.sqrt(math.pi / 2) + 1
    np.testing.assert_allclose(value, expected, rtol=0.03)


def test_the_scale_of_dragan_is_a_half_unless_given():
    real, fake, keys = batch_of((4, 2))
    arguments = half_square, *as_float32(real, fake), keys
    default = penalties.dragan_penalty(*arguments)
    assert default == penalties.dragan_penalty(*arguments, scale=0.5)
    assert default != penalties.dragan_penalty(*arguments, scale=0.6)


def test_r1_looks_at_real_and_r2_at_fake_examples_and_r1_r2_at_both():
    real, fake, keys = batch_of((4, 2))
    halves = [(x**2).sum(axis=1).mean() / 2 for x in (real, fake)]
    real, fake = as_float32(real, fake)
    nan = jnp.full_like(real, jnp.nan)
    r1 = penalties.r1_penalty(half_square, real, nan, keys)
    r2 = penalties.r2_penalty(half_square, nan, fake, keys)
    both = penalties.r1_r2_penalty(half_square, real, fake, keys)
    np.testing.assert_allclose([r1, r2, both], [*halves, sum(halves)], rtol=1e-6)


def test_dragan_does_not_look_at_fakes():
    real, fake, keys = batch_of((4, 2))
    real, fake = as_float32(real, fake)
    value = penalties.dragan_penalty(half_square, real, fake, keys)
    other = penalties.dragan_penalty(half_square, real, fake * jnp.nan, keys)
    assert value == other


# Critics


@pytest.mark.parametrize("name", PENALTIES)
def test_conditional_penalty_is_a_loop_that_closes_over_each_label(name):
    real, fake, keys = batch_of((4, 3))
    (real, fake), labels = as_float32(real, fake), jnp.array([2, 0, 1, 2])
    (w,) = as_float32(np.random.default_rng(0).normal(size=(3, 3)))

    def critic(x, label):
        return jnp.tanh(w[label] @ x)

    value = PENALTIES[name](critic, real, fake, keys, labels)
    loop = []
    for i, label in enumerate(labels):
        one = [a[i : i + 1] for a in (real, fake, keys)]
        loop.append(PENALTIES[name](lambda x, y=label: critic(x, y), *one))
    np.testing.assert_allclose(value, np.mean(loop), rtol=1e-5)
    shuffled = PENALTIES[name](critic, real, fake, keys, jnp.roll(labels, 1))
    assert abs(shuffled - value) > 1e-3


@pytest.mark.parametrize(
    "critic", [lambda x: x, lambda x: x[:1], lambda x: x.sum(keepdims=True)]
)
@pytest.mark.parametrize("name", PENALTIES)
def test_a_critic_that_does_not_give_a_scalar_is_refused(name, critic):
    real, fake, keys = batch_of((4, 1))
    with pytest.raises(AssertionError):
        PENALTIES[name](critic, *as_float32(real, fake), keys)


class Critic(nn.Module):
    norm: nn.Module | None

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8)(x)
        if self.norm is not None:
            x = self.norm(x)
        return nn.Dense(1)(nn.tanh(x))[:, 0]


NORMS = {
    "none": lambda: None,
    "layer": nn.LayerNorm,
    "group": lambda: nn.GroupNorm(num_groups=2),
    "batch": lambda: nn.BatchNorm(use_running_average=False),
}


def leaks_between_examples(norm):
    """Whether logit 0 of a batch has a gradient by another example than its own."""
    network = Critic(NORMS[norm]())
    x = jax.random.normal(jax.random.key(1), (3, 2))
    variables = jax.jit(network.init)(jax.random.key(0), x)

    def logit(x):
        return network.apply(variables, x, mutable=["batch_stats"])[0][0]

    gradient = jax.jit(jax.grad(logit))(x)
    assert jnp.abs(gradient[0]).max() > 1e-3
    return variables, bool(jnp.abs(gradient[1:]).max() > 1e-6)


@pytest.mark.parametrize("norm", ["none", "layer", "group"])
def test_critics_that_keep_examples_apart_are_accepted(norm):
    variables, leaks = leaks_between_examples(norm)
    assert not leaks
    penalties.refuse_mixing_layers(variables)


def test_a_critic_with_batch_norm_mixes_examples_and_is_refused():
    variables, leaks = leaks_between_examples("batch")
    assert leaks
    with pytest.raises(UserError, match=r"batch norm.*LayerNorm.*--penalty=none"):
        penalties.refuse_mixing_layers(variables)


@pytest.mark.parametrize(
    ("critic", "why"),
    [
        (lambda x, label: x.reshape(len(x), -1) @ jnp.ones(6), r"gives \[2\] for it"),
        (lambda x, label: x.reshape(-1, 12) @ jnp.ones(12), "reshape"),
        (lambda x, label: jnp.ones(3)[label] * jnp.ones(1), r"gives \[1\]"),
    ],
)
def test_a_critic_that_takes_batches_only_is_refused(critic, why):
    example, label = jnp.ones((2, 3, 2)), jnp.int32(1)
    with pytest.raises(UserError, match=rf"ONE example, here \[2, 3, 2\].*{why}.*:-3"):
        penalties.refuse_batches_only(critic, example, label)
    penalties.refuse_batches_only(lambda x, label: x.sum() + label, example, label)


def test_clipped_weights_lie_within_the_bound_and_small_ones_are_untouched():
    params = {
        "a": {"kernel": jnp.array([[-3.0, 0.005], [0.01, -0.01]])},
        "b": jnp.array([0.5, -0.0099], jnp.bfloat16),
    }
    clipped = penalties.clip_weights(params, 0.01)
    chex.assert_trees_all_equal_shapes_and_dtypes(params, clipped)
    expected = {
        "a": {"kernel": jnp.array([[-0.01, 0.005], [0.01, -0.01]])},
        "b": jnp.array([0.01, -0.0099], jnp.bfloat16),
    }
    chex.assert_trees_all_equal(clipped, expected)
