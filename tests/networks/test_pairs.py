"""Pairs of networks by name, and what the papers say of each."""

import math
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from gan_jax import networks, penalties
from gan_jax.errors import UserError
from gan_jax.networks import NETWORKS, Wanted, make_pair
from gan_jax.networks.r3gan import GAIN, ResidualBlock
from gan_jax.networks.stages import stages
from tests.rounding import assert_same_algebra

SMALL = {"reference": 8, "mlp": 8, "dcgan": 4, "resnet": 4, "r3gan": 8}
OF_STAGES = ["dcgan", "resnet", "r3gan"]


def small(name, shape=(16, 16, 2), **options):
    return make_pair(name, Wanted(shape, width=SMALL[name], **options))


def initialised(module, x, *labels, seed=0):
    return jax.jit(lambda: module.init(jax.random.key(seed), x, *labels, train=True))()


@pytest.mark.parametrize(
    ("shape", "num_classes"),
    [((28, 28, 1), None), ((32, 64, 3), None), ((32, 64, 3), 3)],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_pair_makes_images_and_logits(name, shape, num_classes):
    pair = make_pair(name, Wanted(shape, num_classes, dtype=jnp.bfloat16))
    labels = () if num_classes is None else (jnp.zeros(2, jnp.int32),)
    for module, takes, gives in zip(
        pair, [(64,), shape], [(2, *shape), (2,)], strict=True
    ):
        x = jax.ShapeDtypeStruct((2, *takes), jnp.float32)
        y, variables = jax.eval_shape(
            lambda x, m=module: m.init_with_output(
                jax.random.key(0), x, *labels, train=True
            ),
            x,
        )
        assert y.shape == gives
        chex.assert_type(jax.tree.leaves(variables), jnp.float32)
    assert y.dtype == jnp.float32


@pytest.mark.parametrize("name", NETWORKS)
def test_the_class_changes_what_is_made_and_how_it_is_scored(name):
    generator, discriminator = small(name, num_classes=3)
    z, x = jnp.ones((2, 5)), jnp.linspace(-1, 1, 1024).reshape(2, 16, 16, 2)
    zero, one = jnp.zeros(2, jnp.int32), jnp.ones(2, jnp.int32)
    for module, given in ((generator, z), (discriminator, x)):
        variables = initialised(module, given, zero)
        apply = jax.jit(lambda v, *a, m=module: m.apply(v, *a, train=False))
        assert not np.allclose(
            apply(variables, given, zero), apply(variables, given, one), atol=1e-6
        )


@pytest.mark.parametrize("spectral_norm", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_penalised_discriminator_takes_one_image_and_keeps_images_apart(
    name, spectral_norm
):
    if spectral_norm and name in ("mlp", "r3gan"):
        with pytest.raises(UserError, match="use reference, dcgan, resnet"):
            small(name, spectral_norm=True)
        return
    _, discriminator = small(name, penalised=True, spectral_norm=spectral_norm)
    x = jax.random.normal(jax.random.key(1), (3, 16, 16, 2))
    variables = initialised(discriminator, x)
    penalties.refuse_mixing_layers(variables)

    @jax.jit
    def logits(x):
        return discriminator.apply(variables, x, train=True, mutable="batch_stats")[0]

    alone = logits(x[1])
    assert alone.shape == ()
    np.testing.assert_allclose(logits(x)[1], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OF_STAGES)
@pytest.mark.parametrize("side", [12, 30, 36, 160])
def test_a_size_that_cannot_be_made_is_refused_with_what_can(name, side):
    with pytest.raises(
        UserError, match=f"--network={name} .* {side} x {side}: use"
    ) as e:
        small(name, (side, side, 1))
    advice = re.search(r"images of (\d+) x \1, or --network=(\w+)$", str(e.value))
    near, other = int(advice[1]), advice[2]
    small(name, (near, near, 1))
    small(other, (side, side, 1))


def test_sizes_begin_with_four_to_seven_pixels():
    found = {side: stages("dcgan", (side, side, 1))[:2] for side in (16, 28, 96, 128)}
    assert found == {16: (2, 4), 28: (2, 7), 96: (4, 6), 128: (5, 4)}
    assert stages("dcgan", (32, 48, 3)) == (3, 4, 6)


@pytest.mark.parametrize(
    ("name", "width"), [("reference", 12), ("r3gan", 4), ("mlp", 0), ("dcgan", 2**15)]
)
def test_a_width_that_cannot_be_had_is_refused(name, width):
    with pytest.raises(UserError, match=f"--width={width} must be a number"):
        make_pair(name, Wanted(width=width))


# Parameters, counted as the papers' tables of layers say


def count(module, *shape):
    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    variables = jax.eval_shape(
        lambda x: module.init(jax.random.key(0), x, train=True), x
    )
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_dcgan_has_the_layers_of_the_paper():
    """Figure 1's, of 64 x 64 in colour, with kernels of 4 x 4."""
    generator, discriminator = make_pair("dcgan", Wanted((64, 64, 3), width=128))
    widths = [1024, 512, 256, 128]
    norms = 2 * sum(widths)
    kernels = 16 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    assert count(generator, 100) == 100 * 16 * 1024 + norms + kernels + 3
    norms = 2 * sum(widths[:-1])
    last = 16 * 1024 + 1
    assert count(discriminator, 64, 64, 3) == kernels + 128 + norms + last


def test_resnet_has_the_layers_of_the_paper():
    """Gulrajani's, of CIFAR-10: three blocks up; two blocks down, two plain ones."""
    generator, discriminator = make_pair("resnet", Wanted((32, 32, 3), width=128))
    conv, shortcut = 9 * 128 * 128 + 128, 128 * 128 + 128
    block, norms = 2 * conv + shortcut, 4 * 128
    dense, pixels = 128 * 2048 + 2048, 9 * 128 * 3 + 3
    assert count(generator, 128) == dense + 3 * (block + norms) + 2 * 128 + pixels
    first = 9 * 3 * 128 + 128 + conv + 3 * 128 + 128
    assert count(discriminator, 32, 32, 3) == first + block + 4 * conv + 128 + 1


def test_r3gan_has_the_layers_of_the_paper():
    """Its CIFAR-10 networks, with one stage of one width and the same groups of 16."""
    width, blocks = 768, 8
    generator, discriminator = make_pair("r3gan", Wanted((32, 32, 3), width=width))
    wide = 2 * width
    block = 2 * width * wide + 9 * 16 * wide + 2 * wide
    basis = 16 * width
    assert count(generator, 64) == 64 * width + basis + blocks * block + width * 3
    assert count(discriminator, 32, 32, 3) == 3 * width + blocks * block + basis + width


def test_blocks_of_r3gan_begin_as_the_identity_with_fixup_scales():
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 64))
    block = ResidualBlock(depth=16)
    variables = jax.jit(block.init)(jax.random.key(1), x)
    np.testing.assert_array_equal(jax.jit(block.apply)(variables, x), x)
    kernels = [variables["params"][f"Conv_{i}"]["kernel"] for i in range(3)]
    scale = GAIN * 16 ** (-1 / (2 * 3 - 2))
    assert np.std(kernels[0]) == pytest.approx(scale / math.sqrt(64), rel=0.05)
    assert np.std(kernels[1]) == pytest.approx(scale / math.sqrt(9 * 16), rel=0.05)
    assert not kernels[2].any()


def r3gan_logits(params, x, labels):
    """Of the paper's discriminator, by NumPy: each layer from its definition."""

    def conv(x, layer, groups=1):
        size = layer["kernel"].shape[0]
        sides = (0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(x, sides), (size, size), (1, 2)
        )  # images, rows, columns, channels, i, j
        parts = zip(
            np.split(windows, groups, axis=3),
            np.split(layer["kernel"], groups, axis=3),
            strict=True,
        )
        parts = [np.einsum("nhwcij,ijcf->nhwf", *part) for part in parts]
        return np.concatenate(parts, axis=-1) + layer.get("bias", 0)

    def halved(x):
        for axis in (1, 2):
            padded = np.pad(x, [(int(i == axis),) * 2 for i in range(4)])
            starts = np.arange(0, x.shape[axis], 2)
            taps = [np.take(padded, starts + i, axis) for i in range(4)]
            x = np.tensordot([1, 3, 3, 1], taps, axes=1) / 8
        return x

    def leaky_relu(x):
        return np.where(x > 0, x, 0.2 * x)

    x = conv(x, params["Conv_0"])
    for i in range(6):
        x = halved(x) if i in (2, 4) else x
        layers = [params[f"ResidualBlock_{i}"][f"Conv_{j}"] for j in range(3)]
        h = leaky_relu(conv(x, layers[0]))
        h = leaky_relu(conv(h, layers[1], groups=h.shape[-1] // 16))
        x = x + conv(h, layers[2])
    x = np.einsum("nhwc,hwc->nc", x, params["basis"]) @ params["last"]["kernel"]
    if labels is None:
        return x[:, 0]
    embedded = params["embed"]["kernel"][labels]
    return (x * embedded).sum(axis=1) / math.sqrt(x.shape[1])


@pytest.mark.parametrize("num_classes", [None, 3])
def test_r3gan_scores_as_the_paper_says_in_float64_numpy(num_classes):
    """From parameters that are drawn: at first, its blocks are the identity."""
    discriminator = networks.R3GANDiscriminator(num_classes, width=16)
    labels = None if num_classes is None else np.array([2, 0, 1])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 16, 16, 2))
    given = () if labels is None else (labels,)
    params = jax.eval_shape(discriminator.init, jax.random.key(0), x, *given)["params"]
    params = jax.tree.map(lambda p: rng.normal(size=p.shape) / p.size**0.4, params)
    with jax.enable_x64(True):
        logits = jax.jit(discriminator.apply)({"params": params}, x, *given)
        expected = r3gan_logits(params, x, labels)
        assert np.abs(expected).min() > 1e-3
        assert_same_algebra(logits, expected)


def test_the_gain_of_leaky_relu_keeps_the_variance():
    x = np.random.default_rng(0).normal(size=1_000_000)
    assert np.var(GAIN * np.where(x > 0, x, 0.2 * x)) == pytest.approx(1, rel=0.01)


# Spectral normalisation


def test_weights_are_divided_by_their_largest_singular_value():
    """Of all layers; then features are added up over the 8 x 8 pixels, as in SN-GAN."""
    _, discriminator = small("resnet", spectral_norm=True)
    x = jax.random.normal(jax.random.key(0), (2, 16, 16, 2))
    variables = initialised(discriminator, x)
    params, stats = variables["params"], variables["batch_stats"]

    @jax.jit
    def scored(stats):
        variables = {"params": params, "batch_stats": stats}
        return discriminator.apply(variables, x, train=True, mutable="batch_stats")

    for _ in range(200):
        logits, stats = scored(stats)
        stats = stats["batch_stats"]
    assert penalties.mixing_layer(stats) is None

    def divided(weights):
        if weights.ndim == 1:
            return weights
        matrix = np.asarray(weights).reshape(-1, weights.shape[-1])
        return weights / np.linalg.svd(matrix)[1][0]

    _, plain = small("resnet")
    means = jax.jit(plain.apply)({"params": jax.tree.map(divided, params)}, x)
    np.testing.assert_allclose(logits, 64 * means, rtol=1e-3)


# Somebody's own

OWN = """
import jax, jax.numpy as jnp
from flax import linen as nn

class Generator(nn.Module):
    shape: tuple = (28, 28, 1)
    width: int = 3

    @nn.compact
    def __call__(self, z, train):
        h, w, c = self.shape
        z = nn.Dense(self.width, name="first")(z)
        return nn.Dense(h * w * c)(z).reshape(-1, h, w, c)

class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(1)(x.reshape(*x.shape[:-3], -1))[..., 0]

class Flat(nn.Module):
    @nn.compact
    def __call__(self, z, train):
        return nn.Dense(7)(z)

class Raises(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        raise TypeError("not this way")

class Needs(nn.Module):
    depth: int

made = Discriminator()

def function(x):
    return x
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    return f"{tmp_path / 'mine.py'}:"


def test_ones_own_modules_are_given_what_they_have_attributes_for(own):
    wanted = Wanted((8, 12, 3), width=5)
    generator, discriminator = make_pair(own + "Generator,Discriminator", wanted)
    assert (generator.shape, generator.width) == ((8, 12, 3), 5)
    assert isinstance(discriminator, nn.Module)
    assert make_pair(own + "Generator,made", Wanted())[1].name is None
    again, _ = make_pair(own + "Generator,Discriminator", wanted)
    assert again == generator  # one class, and one compiled program


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("Generator,Nobody", {}, "has no Nobody; it has .*Generator"),
        ("Generator", {}, "names one network, and a GAN has two: write mine"),
        ("Generator,function", {}, r"function is no flax.linen.Module \(it is functi"),
        (
            "Flat,Discriminator",
            {},
            r"Flat gives \[2, 7\] for \[2, 64\], and images are",
        ),
        ("Generator,Generator", {}, r"Generator gives .*, and logits are \[2\]"),
        ("Generator,Raises", {}, r"cannot be called \(TypeError: not this way\)"),
        ("Generator,Needs", {}, "Needs cannot be called .*depth"),
        (
            "Generator,Discriminator",
            {"num_classes": 3},
            r"Generator cannot be called \(TypeError",
        ),
        (
            "Generator,Discriminator",
            {"spectral_norm": True},
            "neither class of .* has an attribute spectral_norm",
        ),
    ],
)
def test_what_is_wrong_with_ones_own_is_said(own, names, options, message):
    with pytest.raises(UserError, match=message) as error:
        make_pair(own + names, Wanted(**options))
    assert "\n" not in str(error.value)


def test_the_reference_networks_are_the_same_by_name():
    pair = make_pair("reference", Wanted())
    assert pair == (networks.Generator(), networks.Discriminator())
