"""Programs in the form that is best for a GPU: the numbers are the same."""

from functools import partial

import chex
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import backend, recipes, training
from gan_jax.evaluation import classifier, random_features
from gan_jax.networks import convolution
from gan_jax.theory import fitting


def is_library(function, *args):
    """Whether XLA's own convolution is in a function."""
    return "conv_general_dilated" in str(jax.make_jaxpr(function)(*args))


IMAGES = np.random.default_rng(2).uniform(-1, 1, (8, 28, 28, 1)).astype(np.float32)
X = np.random.default_rng(0).normal(size=(3, 8, 8, 20)).astype(np.float32)


def kernel(size, channels, features):
    rng = np.random.default_rng(1)
    scale = (size * size * channels) ** -0.5  # outputs of about 1, in float32
    shape = (size, size, channels, features)
    return rng.normal(scale=scale, size=shape).astype(np.float32)


CONVOLUTIONS = {
    "conv2d": (convolution.conv2d, kernel(3, 20, 6), {"padding": 1}),
    "strided": (convolution.conv2d, kernel(4, 20, 30), {"stride": 2, "padding": 1}),
    "grouped": (
        convolution.grouped_conv2d,
        kernel(3, 5, 8),
        {"groups": 4, "padding": 1},
    ),
    "shuffled": (
        convolution.shuffled_conv2d,
        kernel(3, 5, 2),
        {"block": 2, "padding": 1},
    ),
}


def test_it_is_where_jax_computes_but_inside_of_tracing_for():
    assert backend.kind() == jax.default_backend()
    with backend.tracing_for("tpu"):
        with backend.tracing_for("gpu"):
            assert backend.kind() == "gpu"
        assert backend.kind() == "tpu"
    assert backend.kind() == jax.default_backend()


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_convolutions_are_the_librarys_and_have_the_same_values(kind, name):
    function, weights, how = CONVOLUTIONS[name]

    def value_and_gradients():  # another function each time, as below
        def run(x, k):
            y, pull = jax.vjp(partial(function, **how), x, k)
            return y, pull(jnp.cos(y))

        return jax.jit(run)

    expected = value_and_gradients()(X, weights)
    with backend.tracing_for(kind):
        found = value_and_gradients()(X, weights)
        assert is_library(partial(function, **how), X, weights)
        with convolution.as_products():
            still = is_library(partial(function, **how), X, weights)
            assert still == (kind == "tpu")
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)


def test_one_image_without_a_batch_axis_is_convolved_as_well():
    weights = kernel(3, 20, 6)
    with backend.tracing_for("gpu"):
        alone = convolution.conv2d(X[0], weights, padding=1)
        together = convolution.conv2d(X[None], weights, padding=1)
    np.testing.assert_allclose(alone, together[0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        "wasserstein_gp",
        pytest.param("nonsaturating", marks=pytest.mark.slow),
        pytest.param("relativistic", marks=pytest.mark.slow),
    ],
)
def test_a_step_in_the_form_for_a_gpu_computes_the_same(loss):
    gan = recipes.make_gan(recipes.recipe(loss, width=8))
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    real = jax.random.uniform(jax.random.key(1), (1, 8, 28, 28, 1), minval=-1)

    def run():  # another function each time: JAX would know it and not trace it again
        return partial(training.train_step, gan)

    _, expected = jax.jit(run())(state, real)
    with backend.tracing_for("gpu"):
        assert is_library(run(), state, real)
        _, found = jax.jit(run())(state, real)
    assert {*found} == {*expected}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-3, 1e-4, err_msg=name)


def test_a_network_without_parameters_is_trained_against_in_that_form_as_well():
    with backend.tracing_for("gpu"):
        found = fitting_step()
    for name, value in fitting_step().items():
        np.testing.assert_allclose(found[name], value, 1e-4, 1e-5, err_msg=name)


def fitting_step():
    """The metrics of a step against generated examples that stay as they are."""
    gan = recipes.make_gan(
        recipes.recipe("hinge", width=8), generator=fitting.Fixed(lambda z: -IMAGES)
    )
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    return jax.jit(partial(training.train_step, gan))(state, IMAGES[None])[1]


def products(jaxpr):
    """The matrix products and convolutions of a program, and of those inside of it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.mark.parametrize("kind", ["gpu", "tpu", "cpu"])
@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", "HIGHEST"), ("tf32", "HIGH"), ("bfloat16", "DEFAULT")],
)
def test_every_product_of_a_step_and_of_samples_has_the_recipes_precision(
    precision, expected, kind
):
    gan = recipes.make_gan(
        recipes.recipe("wasserstein_gp", width=8, precision=precision)
    )
    state = jax.eval_shape(
        lambda: training.init_state(gan, jax.random.key(0), (28, 28, 1))
    )
    real = jax.ShapeDtypeStruct((1, *IMAGES.shape), jnp.float32)
    z = jax.ShapeDtypeStruct((4, gan.latent_size), jnp.float32)
    with backend.tracing_for(kind):
        step = jax.make_jaxpr(partial(training.train_step, gan))(state, real)
        samples = jax.make_jaxpr(partial(training.generate, gan))(state, z)
    wanted = jax.lax.Precision[expected]
    for program, fewest in ((step, 25), (samples, 4)):
        found = [equation.params["precision"] for equation in products(program.jaxpr)]
        assert len(found) >= fewest
        if kind == "cpu":  # where products are of the type of their operands
            assert set(found) == {None}
        else:
            assert set(found) == {(wanted, wanted)}


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_features_are_of_whole_products_on_every_device(kind):
    images = np.zeros((2, 28, 28, 1), np.uint8)
    network = classifier.Network(num_classes=10)
    params = jax.eval_shape(network.init, jax.random.key(0), IMAGES)["params"]
    random = jax.eval_shape(random_features.Network().init, jax.random.key(0), IMAGES)
    highest = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    for apply, weights, fewest in (
        (classifier._apply, params, 4),
        (random_features._apply, random["params"], 4),
    ):
        with backend.tracing_for(kind):
            program = jax.make_jaxpr(apply.__wrapped__)(weights, images)
        found = [equation.params["precision"] for equation in products(program.jaxpr)]
        assert len(found) >= fewest
        assert set(found) == {highest}


@pytest.mark.gpu
@pytest.mark.skipif(jax.default_backend() != "gpu", reason="no GPU")
@pytest.mark.parametrize("loss", ["wasserstein_gp", "nonsaturating", "relativistic"])
def test_a_step_on_a_gpu_computes_what_a_processor_does(loss):
    gan = recipes.make_gan(recipes.recipe(loss))
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    real = jax.random.uniform(jax.random.key(1), (1, 64, 28, 28, 1), minval=-1)
    found = {}
    for kind in ("gpu", "cpu"):
        device = jax.devices(kind)[0]
        with backend.tracing_for(kind):
            inputs = jax.device_put((state, real), device)
            found[kind] = jax.jit(partial(training.train_step, gan))(*inputs)[1]
    for name, value in found["cpu"].items():
        np.testing.assert_allclose(found["gpu"][name], value, 1e-3, 1e-3, err_msg=name)
