"""The reference networks: published counts, and forward passes in float64 NumPy."""

import itertools
import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import (
    Discriminator,
    Generator,
    MLPDiscriminator,
    MLPGenerator,
    kernel_init,
)
from tests.rounding import assert_same_algebra

LAYERS = {
    Generator: {
        "Dense_0": 64 * 512 + 512,
        "BatchNorm_0": 2 * 512,
        "Dense_1": 512 * 3136 + 3136,
        "BatchNorm_1": 2 * 3136,
        "Conv_0": 3 * 3 * 16 * 32 + 32,
        "BatchNorm_2": 2 * 32,
        "Conv_1": 3 * 3 * 8 * 1 + 1,
    },
    Discriminator: {
        "Conv_0": 4 * 4 * 1 * 32 + 32,
        "Conv_1": 4 * 4 * 32 * 64 + 64,
        "Dense_0": 3136 * 512 + 512,
        "Dense_1": 512 + 1,
    },
}
TOTALS = {Generator: 1_654_121, Discriminator: 1_640_033}
INPUTS = {
    Generator: (64,),
    Discriminator: (28, 28, 1),
    MLPGenerator: (8,),
    MLPDiscriminator: (2,),
}
OUTPUTS = {
    Generator: (28, 28, 1),
    Discriminator: (),
    MLPGenerator: (2,),
    MLPDiscriminator: (),
}


def input_shape(network, batch=3):
    return jax.ShapeDtypeStruct((batch, *INPUTS[network]), jnp.float32)


def shapes_of(network, **attributes):
    """Shapes of the variables, and of the output in training; nothing is computed."""

    def run(x):
        module = network(**attributes)
        y, variables = module.init_with_output(jax.random.key(0), x, train=True)
        return variables, y

    return jax.eval_shape(run, input_shape(network))


def random_variables(network, seed=0):
    """Variables of no special value: unit running averages would hide mistakes."""
    variables, _ = shapes_of(network)
    rng = np.random.default_rng(seed)

    def leaf(path, shape):
        fan_in = math.prod(shape.shape[:-1])
        values = rng.normal(size=shape.shape) / math.sqrt(fan_in)
        if path[-1].key in ("var", "scale"):
            values = rng.uniform(0.5, 2.0, shape.shape)
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(leaf, variables)


@pytest.fixture(scope="module")
def generator_variables():
    return random_variables(Generator)


@pytest.fixture(scope="module")
def discriminator_variables():
    return random_variables(Discriminator)


# Parameters and shapes


@pytest.mark.parametrize("network", LAYERS)
def test_parameter_counts_are_the_published_ones(network):
    variables, _ = shapes_of(network)
    sizes = {
        name: sum(leaf.size for leaf in layer.values())
        for name, layer in variables["params"].items()
    }
    assert sizes == LAYERS[network]
    assert sum(sizes.values()) == TOTALS[network]


@pytest.mark.parametrize("network", INPUTS)
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_output_shapes_and_dtypes(network, dtype):
    variables, y = shapes_of(network, dtype=dtype)
    assert y.shape == (3, *OUTPUTS[network])
    chex.assert_type(jax.tree.leaves(variables), jnp.float32)
    logits = network in (Discriminator, MLPDiscriminator)
    assert y.dtype == (jnp.float32 if logits or dtype is None else dtype)


@pytest.mark.parametrize("network", INPUTS)
def test_one_example_is_a_row_of_a_batch(network):
    variables = jax.tree.map(np.float64, random_variables(network))
    x = np.random.default_rng(1).normal(size=(2, 3, *INPUTS[network]))
    with jax.enable_x64(True):
        apply = jax.jit(partial(network().apply, train=False))
        rows = apply(variables, x.reshape(6, *INPUTS[network]))
        grid = apply(variables, x)
        assert_same_algebra(grid.reshape(rows.shape), rows)
        assert_same_algebra(apply(variables, x[1, 2]), rows[5])
    assert grid.shape == (2, 3, *OUTPUTS[network])


@pytest.mark.parametrize("network", [MLPGenerator, MLPDiscriminator])
def test_width_and_depth_of_a_multilayer_perceptron_are_its_attributes(network):
    params = shapes_of(network, hidden=(5, 6, 7))[0]["params"]
    outputs = OUTPUTS[network] or (1,)
    widths = [*INPUTS[network], 5, 6, 7, *outputs]
    kernels = [params[f"Dense_{i}"]["kernel"].shape for i in range(4)]
    assert kernels == list(itertools.pairwise(widths))


def test_logits_are_float64_where_the_network_is():
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct((2, 2), jnp.float64)
        network = MLPDiscriminator(dtype=jnp.float64)
        y, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), x)
        assert y.dtype == jnp.float64


@pytest.mark.parametrize("shape", [(100, 400), (4, 4, 16, 64)])
def test_kernels_start_uniform_within_one_over_the_root_of_fan_in(shape):
    kernel = np.asarray(kernel_init(jax.random.key(0), shape))
    bound = 1 / math.sqrt(math.prod(shape[:-1]))
    assert 0.99 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
    np.testing.assert_allclose(kernel.std(), bound / math.sqrt(3), rtol=0.02)
    assert abs(kernel.mean()) < 0.02 * bound


@pytest.mark.parametrize("network", LAYERS)
def test_every_kernel_of_a_reference_network_starts_at_that_scale(network):
    x = jnp.zeros((2, *INPUTS[network]))
    init = jax.jit(lambda key: network().init(key, x, train=True))
    for name, layer in init(jax.random.key(0))["params"].items():
        if "kernel" in layer:
            bound = 1 / math.sqrt(layer["kernel"][..., 0].size)
            largest = jnp.abs(layer["kernel"]).max()
            assert 0.9 * bound < largest <= bound * (1 + 1e-6), name
            assert not layer["bias"].any()


# Forward passes in float64 NumPy


def dense(params, x):
    return x @ np.float64(params["kernel"]) + params["bias"]


def conv(params, x, stride):
    """A convolution with one pixel of padding, as a sum over its taps."""
    kernel = np.float64(params["kernel"])
    size, side = kernel.shape[0], (x.shape[1] + 2 - kernel.shape[0]) // stride + 1
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    span = stride * (side - 1) + 1
    return params["bias"] + sum(
        x[:, i : i + span : stride, j : j + span : stride] @ kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def shuffle(x):
    batch, height, width, channels = x.shape
    out = np.zeros((batch, 2 * height, 2 * width, channels // 4))
    for a, b in np.ndindex(2, 2):
        first = (2 * a + b) * (channels // 4)
        out[:, a::2, b::2] = x[..., first : first + channels // 4]
    return out


def normalise(params, mean, var, x):
    return (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


def generator_in_numpy(variables, z, train):
    """Images, and the mean and variance that each batch norm saw."""
    p, stats, seen = variables["params"], variables["batch_stats"], {}

    def norm_relu(name, x):
        axes = tuple(range(x.ndim - 1))
        seen[name] = {"mean": x.mean(axes), "var": x.var(axes)}
        used = seen[name] if train else stats[name]
        return np.maximum(normalise(p[name], used["mean"], used["var"], x), 0)

    x = norm_relu("BatchNorm_0", dense(p["Dense_0"], np.float64(z)))
    x = norm_relu("BatchNorm_1", dense(p["Dense_1"], x))
    x = shuffle(x.reshape(-1, 7, 7, 64))
    x = norm_relu("BatchNorm_2", conv(p["Conv_0"], x, 1))
    return conv(p["Conv_1"], shuffle(x), 1), seen


def test_generator_is_its_definition_and_moves_the_running_averages_by_a_tenth(
    generator_variables,
):
    z = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    expected, seen = generator_in_numpy(generator_variables, z, train=True)
    images, updated = jax.jit(
        lambda v, z: Generator().apply(v, z, train=True, mutable="batch_stats")
    )(generator_variables, z)
    np.testing.assert_allclose(images, expected, rtol=1e-3, atol=1e-4)
    before = generator_variables["batch_stats"]
    moved = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, before, seen)
    chex.assert_trees_all_close(updated["batch_stats"], moved, rtol=1e-4, atol=1e-5)


def test_generator_after_training_uses_the_running_averages(generator_variables):
    z = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    sample = jax.jit(lambda v, z: Generator().apply(v, z, train=False))
    images = sample(generator_variables, z)
    expected, _ = generator_in_numpy(generator_variables, z, train=False)
    np.testing.assert_allclose(images, expected, rtol=1e-3, atol=1e-4)
    # So an image no longer depends on the others of its batch.
    other = sample(generator_variables, np.concatenate([z[:1], -z[1:]]))
    np.testing.assert_allclose(other[0], images[0], rtol=1e-5, atol=1e-5)
    assert np.abs(other[1:] - images[1:]).max() > 0.1


def leaky_relu(x):
    return np.where(x > 0, x, 0.1 * x)


def discriminator_in_numpy(variables, x):
    p = variables["params"]
    x = leaky_relu(conv(p["Conv_0"], x, 2))
    x = leaky_relu(conv(p["Conv_1"], x, 2))
    x = leaky_relu(dense(p["Dense_0"], x.reshape(-1, 3136)))
    return dense(p["Dense_1"], x)[:, 0]


def test_discriminator_is_its_definition(discriminator_variables):
    x = np.random.default_rng(1).uniform(-1, 1, (3, 28, 28, 1)).astype(np.float32)
    expected = discriminator_in_numpy(discriminator_variables, np.float64(x))
    for dtype, tolerance in ((None, 1e-4), (jnp.bfloat16, 0.05)):
        logits = jax.jit(Discriminator(dtype=dtype).apply)(discriminator_variables, x)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance * scale)


def mlp_in_numpy(variables, x, activation):
    for i in range(3):
        x = dense(variables["params"][f"Dense_{i}"], x if i == 0 else activation(x))
    return x


def test_multilayer_perceptrons_are_their_definitions():
    rng = np.random.default_rng(1)
    z, x = (rng.normal(size=(4, n)).astype(np.float32) for n in (8, 2))
    variables = random_variables(MLPGenerator)
    points = MLPGenerator().apply(variables, z)
    expected = mlp_in_numpy(variables, np.float64(z), lambda x: np.maximum(x, 0))
    np.testing.assert_allclose(points, expected, rtol=1e-4, atol=1e-5)
    variables = random_variables(MLPDiscriminator)
    logits = MLPDiscriminator().apply(variables, x)
    expected = mlp_in_numpy(variables, np.float64(x), leaky_relu)[:, 0]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", [Discriminator, MLPDiscriminator])
def test_discriminators_keep_examples_apart(network):
    # The gradient of logit i by example j is exactly 0 unless i = j.
    variables = random_variables(network)
    x = np.random.default_rng(1).normal(size=(3, *INPUTS[network])).astype(np.float32)
    jacobian = jax.jit(jax.jacrev(lambda x: network().apply(variables, x)))(x)
    size = np.abs(jacobian).reshape(3, 3, -1).max(axis=2)
    np.testing.assert_array_equal(size > 0, np.eye(3, dtype=bool))


def test_weights_of_a_critic_twice_as_large_are_sixteen_times_its_score():
    # Of four layers; the biases start at 0. What a bound of the weights does to it.
    x = np.random.default_rng(1).normal(size=(3, 28, 28, 1)).astype(np.float32)
    variables = jax.jit(Discriminator().init)(jax.random.key(0), x)
    apply = jax.jit(Discriminator().apply)
    logits = apply(variables, x)
    twice = apply(jax.tree.map(lambda w: 2 * w, variables), x)
    np.testing.assert_allclose(twice, 16 * logits, rtol=1e-4, atol=1e-5)
    assert np.abs(logits).min() > 1e-3


CLASSES = 10


def conditional(network):
    """A conditional module with variables, inputs of a batch of four, and labels."""
    module = network(num_classes=CLASSES)
    shape = (4, *INPUTS[network])
    x = jax.random.normal(jax.random.key(0), shape)
    labels = jnp.asarray([0, 3, 9, 3])
    init = jax.jit(partial(module.init, train=True))
    return module, init(jax.random.key(1), x, labels), x, labels


@pytest.mark.parametrize(
    ("network", "more"),
    [(Generator, CLASSES * 512), (Discriminator, (CLASSES - 1) * (512 + 1))],
)
def test_labels_cost_one_row_of_parameters_for_each_class(network, more):
    variables = jax.eval_shape(lambda: conditional(network)[1])
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == TOTALS[network] + more


@pytest.mark.parametrize("network", [Discriminator, MLPDiscriminator])
def test_the_conditional_logit_is_the_projection_on_the_row_of_the_label(network):
    """``onehot(y) . (A phi + b)``: with A and b of one class, the plain network's."""
    module, variables, x, labels = conditional(network)
    logits = jax.jit(module.apply)(variables, x, labels)
    apply = jax.jit(network().apply)
    params = dict(variables["params"])
    last = max(name for name in params if name.startswith("Dense"))
    for i, label in enumerate(np.asarray(labels)):
        row = {
            "kernel": params[last]["kernel"][:, label : label + 1],
            "bias": params[last]["bias"][label : label + 1],
        }
        plain = apply({"params": params | {last: row}}, x)
        np.testing.assert_allclose(logits[i], plain[i], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("network", [Generator, MLPGenerator])
def test_the_conditional_generator_is_the_plain_one_on_z_and_one_hot_labels(network):
    module, variables, z, labels = conditional(network)
    beside = np.concatenate([z, np.eye(CLASSES, dtype=np.float32)[labels]], axis=1)
    np.testing.assert_array_equal(
        module.apply(variables, z, labels, train=False),
        network().apply(variables, beside, train=False),
    )
    other = module.apply(variables, z, (labels + 1) % CLASSES, train=False)
    assert not np.allclose(other, module.apply(variables, z, labels, train=False))


@pytest.mark.parametrize("network", INPUTS)
def test_a_conditional_network_without_labels_says_so(network):
    def without():
        module, variables, x, _ = conditional(network)
        module.apply(variables, x, train=False)

    with pytest.raises(ValueError, match="num_classes=10 needs labels"):
        jax.eval_shape(without)
