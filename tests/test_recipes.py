"""The table of recipes, its overrides, and what is refused."""

import dataclasses
import json
import math
import pathlib
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import networks, penalties, training
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES
from gan_jax.recipes import TABLES, check, make_gan, recipe
from tests import small

KEPT = pathlib.Path(__file__).parents[1] / "docs" / "results"
# What every recipe has unless its paper says otherwise.
REFERENCE = {
    "conditional": False,
    "batch_size": 64,
    "penalty": "none",
    "penalty_weight": 0.0,
    "clip": None,
    "critic_steps": 1,
    "optimiser": "adam",
    "generator_lr": 1e-3,
    "discriminator_lr": 1e-3,
    "beta1": 0.5,
    "beta2": 0.999,
    "latent_size": 64,
    "ema_decay": None,
    "ema_grows_from": 0,
    "precision": "float32",
    "on_nan": "stop",
    "network": "reference",
    "width": None,
    "spectral_norm": False,
    "schedule": "constant",
    "mirror": False,
    "augment": "none",
}
DEPARTURES = {
    "minimax": {},
    "nonsaturating": {},
    "kl": {},
    "wasserstein": {
        "clip": 0.01,
        "critic_steps": 5,
        "optimiser": "rmsprop",
        "generator_lr": 5e-5,
        "discriminator_lr": 5e-5,
    },
    "wasserstein_gp": {"penalty": "gradient_penalty", "penalty_weight": 10.0},
    "hinge": {},
    "least_squares": {},
    "relativistic": {"penalty": "r1_r2", "penalty_weight": 1.0},
}


def small_gan(loss, **overrides):
    return small.gan(recipe(loss, latent_size=3, **overrides))


# The table and its overrides


@pytest.mark.parametrize("loss", LOSSES)
def test_recipe_has_the_published_numbers(loss):
    expected = {"loss": loss} | REFERENCE | DEPARTURES[loss]
    assert dataclasses.asdict(recipe(loss)) == expected


def test_every_loss_has_a_recipe():
    assert all(set(table) == set(LOSSES) for table in TABLES.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("penalty_weight", 0.0),
        ("penalty_weight", 3.0),
        ("critic_steps", 2),
        ("optimiser", "rmsprop"),
        ("generator_lr", 2e-4),
        ("discriminator_lr", 4e-4),
        ("beta1", 0.0),
        ("beta2", 0.9),
        ("latent_size", 128),
        ("ema_decay", 0.999),
        ("precision", "bfloat16"),
        ("network", "dcgan"),
        ("width", 32),
        ("spectral_norm", True),
        ("schedule", "cosine"),
        ("mirror", True),
        ("augment", "diffaugment"),
    ],
)
def test_an_override_changes_its_number_and_no_other(name, value):
    changed = dataclasses.asdict(recipe("wasserstein_gp", **{name: value}))
    expected = dataclasses.asdict(recipe("wasserstein_gp")) | {name: value}
    assert changed == expected


@pytest.mark.parametrize("loss", LOSSES)
def test_none_keeps_the_number_of_the_recipe(loss):
    assert recipe(loss, **dict.fromkeys(REFERENCE)) == recipe(loss)


def test_clip_of_the_clipped_loss_can_be_changed():
    assert recipe("wasserstein", clip=0.1).clip == 0.1


@pytest.mark.parametrize("table", TABLES)
def test_a_penalty_takes_the_place_of_clipping(table):
    clipped = recipe("wasserstein", table)
    assert clipped.clip is not None
    assert recipe("wasserstein", table, penalty="none") == clipped
    penalised = recipe("wasserstein", table, penalty="gradient_penalty")
    assert (penalised.clip, penalised.penalty_weight) == (None, 10)
    both = recipe("wasserstein", table, penalty="r1", clip=0.1)
    assert (both.clip, both.penalty) == (0.1, "r1")


def test_an_average_of_ones_own_does_not_grow_unless_it_is_said():
    assert recipe("hinge", "tuned").ema_grows_from == 7_500
    assert recipe("hinge", "tuned", ema_decay=0.99).ema_grows_from == 0
    both = recipe("hinge", "tuned", ema_decay=0.99, ema_grows_from=100)
    assert (both.ema_decay, both.ema_grows_from) == (0.99, 100)
    assert recipe("hinge", "tuned", ema_grows_from=0).ema_decay == 0.986


@pytest.mark.parametrize("loss", ["wasserstein_gp", "relativistic"])
def test_penalty_none_removes_penalty_and_weight(loss):
    changed = recipe(loss, penalty="none")
    assert (changed.penalty, changed.penalty_weight) == ("none", 0)
    assert small_gan(loss, penalty="none").penalty is None


@pytest.mark.parametrize("loss", ["hinge", "wasserstein_gp", "relativistic"])
@pytest.mark.parametrize(
    ("penalty", "weight"),
    [
        ("gradient_penalty", 10.0),
        ("one_sided", 10.0),
        ("dragan", 10.0),
        ("r1", 1.0),
        ("r2", 1.0),
        ("r1_r2", 1.0),
    ],
)
def test_a_penalty_brings_its_published_weight_to_any_loss(loss, penalty, weight):
    changed = recipe(loss, penalty=penalty)
    assert (changed.penalty, changed.penalty_weight) == (penalty, weight)
    assert recipe(loss, penalty=penalty, penalty_weight=2.5).penalty_weight == 2.5


# Mistakes


@pytest.mark.parametrize(
    ("loss", "overrides", "message"),
    [
        ("hindge", {}, r"unknown loss 'hindge'.*'hinge'"),
        ("wasserstein-gp", {}, r"unknown loss 'wasserstein-gp'.*'wasserstein_gp'"),
        ("zzz", {}, "unknown loss 'zzz'.*" + ".*".join(LOSSES)),
        ("hinge", {"penalty": "r3"}, r"unknown penalty 'r3'.*'r[12]'"),
        ("hinge", {"penalty": "zzz"}, "unknown penalty.*none.*" + ".*".join(PENALTIES)),
        ("hinge", {"optimiser": "adm"}, r"unknown optimiser 'adm'.*'adam'"),
        ("hinge", {"precision": "bfloat61"}, r"unknown precision .*'bfloat16'"),
        ("hinge", {"clip": 0.01}, "--clip=0.01 contradicts --loss=hinge"),
        ("wasserstein_gp", {"clip": 0.01}, "--clip=0.01 contradicts"),
        ("hinge", {"penalty_weight": 1.0}, "--penalty_weight=1.0 without a penalty"),
        (
            "wasserstein_gp",
            {"penalty": "none", "penalty_weight": 1.0},
            "--penalty_weight=1.0 without a penalty",
        ),
        ("hinge", {"ema_grows_from": 9}, "--ema_grows_from=9 without a moving average"),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_the_way_on(loss, overrides, message):
    with pytest.raises(UserError, match=message) as error:
        recipe(loss, **overrides)
    assert "\n" not in str(error.value)


# Whole numbers; the reference networks' width is a multiple of 8.
MOST = {"batch_size": 2**20, "critic_steps": 10_000, "latent_size": 2**16}
MOST_WIDTH = 2**14
POSITIVE = ("generator_lr", "discriminator_lr", *MOST)
OUT_OF_RANGE = [
    *((n, v) for n in POSITIVE for v in (0, -1, math.inf, -math.inf, math.nan)),
    *((n, v) for n, most in MOST.items() for v in (most + 1, 1.5)),
    *(("width", v) for v in (0, MOST_WIDTH + 8)),
    *(("penalty_weight", v) for v in (-1.0, math.inf, math.nan)),
    *((n, v) for n in ("beta1", "beta2", "ema_decay") for v in (-0.1, 1.0, math.nan)),
    *(("ema_grows_from", v) for v in (-1, 2**31, 1.5)),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(UserError, match=f"--{name}={value} must be"):
        recipe("wasserstein_gp", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *MOST.items(),
        *((name, 1) for name in MOST),
        ("width", MOST_WIDTH),
        ("penalty_weight", 1e300),
        ("generator_lr", 1e-300),
        *((name, 1 - 2**-53) for name in ("beta1", "beta2", "ema_decay")),
    ],
)
def test_numbers_at_the_ends_of_their_range_are_taken(name, value):
    assert getattr(recipe("wasserstein_gp", **{name: value}), name) == value


@pytest.mark.parametrize("value", [0.0, -0.01, math.inf, math.nan])
def test_a_clip_out_of_range_is_refused(value):
    with pytest.raises(UserError, match=f"--clip={value} must be"):
        recipe("wasserstein", clip=value)


def test_an_attribute_that_no_recipe_has_is_an_error():
    with pytest.raises(TypeError, match="learning_rate"):
        recipe("hinge", learning_rate=1e-3)


# Making it


def test_everything_of_a_recipe_reaches_the_gan():
    """All of its fields, those to come as well; of optimisers, the tests below."""
    numbers = {
        "penalty": "r1",
        "penalty_weight": 2.5,
        "clip": 0.02,
        "critic_steps": 3,
        "latent_size": 7,
        "ema_decay": 0.9,
        "ema_grows_from": 70,
        "mirror": True,
    }
    others = {"conditional": True, "precision": "bfloat16", "augment": "diffaugment"}
    pair = {"network": "dcgan", "width": 8, "spectral_norm": True}
    gan = make_gan(
        recipe("wasserstein", **numbers, **others, **pair),
        shape=(16, 32, 3),
        num_classes=6,
        axis_name="devices",
    )
    found = {field.name: getattr(gan, field.name) for field in dataclasses.fields(gan)}
    optimisers = found.pop("generator_optimiser"), found.pop("discriminator_optimiser")
    assert all(map(callable, optimisers[0] + optimisers[1]))
    sizes = {
        "num_classes": 6,
        "width": 8,
        "axis_name": "devices",
        "dtype": jnp.bfloat16,
    }
    assert found == numbers | {
        "loss": LOSSES["wasserstein"],
        "penalty": PENALTIES["r1"],
        "generator": networks.DCGANGenerator(shape=(16, 32, 3), **sizes),
        "discriminator": networks.DCGANDiscriminator(
            norm="layer", spectral_norm=True, **sizes
        ),
        "num_classes": 6,
        "init_batch": 64,
        "ema_warmup": True,
        "axis_name": "devices",
        "augment": training.AUGMENTS["diffaugment"],
        "products": "default",
    }


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", None), ("bfloat16", jnp.bfloat16)]
)
def test_precision_is_that_of_both_reference_networks(precision, dtype):
    gan = make_gan(recipe("hinge", precision=precision))
    assert isinstance(gan.generator, networks.Generator)
    assert isinstance(gan.discriminator, networks.Discriminator)
    assert gan.generator.dtype == gan.discriminator.dtype == dtype


def updates_of(optimiser, gradients):
    """The updates that an optimiser makes of a sequence of gradients."""
    state, updates = optimiser.init(jnp.zeros(3)), []
    for gradient in gradients:
        update, state = optimiser.update(jnp.float32(gradient), state, jnp.zeros(3))
        updates.append(update)
    return updates


# From gradients of order 1 down to those of a clipped critic, where an optimiser that
# adds its epsilon in another place than the published one takes far smaller steps.
GRADIENTS = np.array([[1.0, 1e-4, -1e-6], [-0.5, 3e-4, 2e-6], [2.0, 1e-5, -1e-6]])


def test_both_optimisers_are_adam_with_the_numbers_of_the_recipe():
    gan = small_gan("hinge", generator_lr=0.1, discriminator_lr=0.2)
    optimisers = (gan.generator_optimiser, gan.discriminator_optimiser)
    for optimiser, rate in zip(optimisers, (0.1, 0.2), strict=True):
        first = second = np.zeros(3)
        measured = updates_of(optimiser, GRADIENTS)
        for t, (update, g) in enumerate(zip(measured, GRADIENTS, strict=True), 1):
            first, second = 0.5 * first + 0.5 * g, 0.999 * second + 0.001 * g**2
            root = np.sqrt(second / (1 - 0.999**t)) + 1e-8
            expected = -rate * first / (1 - 0.5**t) / root
            np.testing.assert_allclose(update, expected, rtol=1e-4)


def test_betas_of_the_recipe_reach_adam():
    gan = small_gan("hinge", generator_lr=0.1, beta1=0.0, beta2=0.5)
    updates = updates_of(gan.generator_optimiser, GRADIENTS[:2])
    second = (0.25 * GRADIENTS[0] ** 2 + 0.5 * GRADIENTS[1] ** 2) / (1 - 0.5**2)
    expected = -0.1 * GRADIENTS[1] / (np.sqrt(second) + 1e-8)
    np.testing.assert_allclose(updates[1], expected, rtol=1e-4)


def test_optimisers_of_the_clipped_loss_are_rmsprop_as_published():
    gan = small_gan("wasserstein", discriminator_lr=1e-2)
    optimisers = (gan.generator_optimiser, gan.discriminator_optimiser)
    for optimiser, rate in zip(optimisers, (5e-5, 1e-2), strict=True):
        second = np.zeros(3)
        for update, g in zip(updates_of(optimiser, GRADIENTS), GRADIENTS, strict=True):
            second = 0.99 * second + 0.01 * g**2
            expected = -rate * g / (np.sqrt(second) + 1e-8)
            np.testing.assert_allclose(update, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("loss", "overrides"),
    [
        ("minimax", {"penalty": "dragan"}),
        ("hinge", {"penalty": "r1", "critic_steps": 2, "ema_decay": 0.9}),
        ("wasserstein", {"clip": 0.02, "optimiser": "adam"}),
        ("wasserstein_gp", {"penalty": "none"}),
        ("relativistic", {"penalty": "one_sided"}),
    ],
)
def test_an_overridden_recipe_takes_a_finite_step(loss, overrides):
    gan = small_gan(loss, **overrides)
    state = training.init_state(gan, jax.random.key(0), (2,))
    real = jax.random.normal(jax.random.key(1), (gan.critic_steps, 8, 2))
    after, metrics = jax.jit(partial(training.train_step, gan))(state, real)
    chex.assert_tree_all_finite((after.discriminator, after.generator, metrics))
    assert ("penalty" in metrics) == (gan.penalty is not None)
    for before, now in (
        (state.discriminator, after.discriminator),
        (state.generator, after.generator),
    ):
        moved = jax.tree.map(
            lambda a, b: jnp.abs(a - b).max(), before.params, now.params
        )
        assert max(jax.tree.leaves(moved)) > 0
    if gan.clip is not None:
        within = penalties.clip_weights(after.discriminator.params, 0.02)
        chex.assert_trees_all_equal(within, after.discriminator.params)


@pytest.mark.slow  # in small: tests/devices/test_many.py
def test_numbers_of_a_recipe_may_be_swept_by_vmap():
    real = jax.random.normal(jax.random.key(1), (1, 8, 2))

    def step(rate, weight):
        numbers = recipe("wasserstein_gp", latent_size=3)
        changes = {"generator_lr": rate, "penalty_weight": weight}
        gan = small.gan(dataclasses.replace(numbers, **changes))
        state = training.init_state(gan, jax.random.key(0), (2,))
        after, metrics = training.train_step(gan, state, real)
        return after.generator.params, metrics["d_loss"]

    swept = jax.jit(jax.vmap(step))(jnp.array([1e-3, 1e-2]), jnp.array([1.0, 10.0]))
    for i, (rate, weight) in enumerate([(1e-3, 1.0), (1e-2, 10.0)]):
        one = jax.tree.map(lambda a, i=i: a[i], swept)
        alone = jax.jit(partial(step, rate, weight))()
        chex.assert_trees_all_close(one, alone, rtol=1e-4, atol=1e-6)


# The tuned table


@pytest.mark.parametrize("loss", LOSSES)
def test_a_tuned_recipe_trains_the_same_networks_on_the_same_loss(loss):
    published, tuned = recipe(loss), recipe(loss, "tuned")
    check(tuned)
    kept = ("loss", "conditional", "latent_size", "precision")
    for name in kept:
        assert getattr(tuned, name) == getattr(published, name)
    assert recipe(loss, "tuned", batch_size=8).batch_size == 8


# Whose search gave the numbers of each.
SEARCHED = dict.fromkeys(LOSSES, "hinge") | {
    "least_squares": "least_squares",
    "relativistic": "nonsaturating",
    "wasserstein": "wasserstein_faster",
    "wasserstein_gp": "wasserstein_gp",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_tuned_recipe_is_the_best_that_a_kept_search_found(loss):
    """At its batch; all but wasserstein's of 16 for 8, by Malladi et al.'s for Adam."""
    kept = json.loads((KEPT / f"tuning_{SEARCHED[loss]}.json").read_text())["settings"]
    ends = [each["fcd_train"][str(each["steps"])] for each in kept]
    place = ends.index(min(ends))
    best = kept[place]["setting"]
    steps = 60_000 // best["batch_size"]
    assert kept[place]["steps"] == max(each["steps"] for each in kept) == steps
    ratio = 2 if best["batch_size"] == 16 and loss != "wasserstein" else 1
    expected = dataclasses.asdict(recipe(loss)) | best
    expected["batch_size"] //= ratio
    for name in ("generator_lr", "discriminator_lr"):
        expected[name] = two_digits(best[name] / math.sqrt(ratio))
    for name in {"beta2", "ema_decay"} & best.keys():
        expected[name] = 1 - two_digits((1 - best[name]) / ratio)
    for name in {"penalty_weight", "clip"} & best.keys():
        expected[name] = two_digits(best[name])
    if loss == "relativistic":
        expected |= {"penalty": "r1_r2", "penalty_weight": 3.0}  # by hand
    if loss != "wasserstein":
        expected["ema_grows_from"] = 60_000 // 8  # what was searched is one epoch
    assert dataclasses.asdict(recipe(loss, "tuned")) == {
        name: pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
        for name, value in expected.items()
    }


@pytest.mark.parametrize("loss", LOSSES)
def test_what_was_tuned_for_the_reference_networks_is_theirs_alone(loss):
    given = recipe(loss, "tuned", network="reference")
    assert given == recipe(loss, "tuned")
    other = recipe(loss, "tuned", network="dcgan")
    assert other.network == "dcgan"
    if loss == "wasserstein":  # looked at with other networks, too: docs/quality.md
        assert other == dataclasses.replace(given, network="dcgan")
    else:
        assert other.batch_size > given.batch_size
        assert other.generator_lr < given.generator_lr
    assert recipe(loss, network="dcgan") == dataclasses.replace(
        recipe(loss), network="dcgan"
    )


def two_digits(number):
    return float(f"{number:.2g}")


def test_an_unknown_table_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match="did you mean 'published'"):
        recipe("hinge", "publish")


def test_networks_are_of_the_shape_and_the_classes_of_the_data():
    gan = make_gan(recipe("hinge", conditional=True), shape=(32, 64, 3), num_classes=7)

    def run():
        state = training.init_state(gan, jax.random.key(0), (32, 64, 3))
        z, labels = jnp.zeros((2, gan.latent_size)), jnp.zeros(2, jnp.int32)
        return state, training.generate(gan, state, z, labels)

    state, images = jax.eval_shape(run)
    assert images.shape == (2, 32, 64, 3)
    assert state.discriminator.params["Dense_1"]["kernel"].shape == (512, 7)


@pytest.mark.parametrize("shape", [(30, 32, 3), (28, 27, 1), (2, 4, 1)])
def test_images_that_the_networks_cannot_make_are_refused(shape):
    with pytest.raises(
        UserError, match=r"multiples of 4, and these are .*: use images"
    ):
        make_gan(recipe("hinge"), shape=shape)


@pytest.mark.parametrize("num_classes", [0, 1])
def test_fewer_than_two_classes_are_no_condition(num_classes):
    with pytest.raises(UserError, match="--conditional needs labels of two classes"):
        make_gan(recipe("hinge", conditional=True), num_classes=num_classes)
    make_gan(recipe("hinge"), num_classes=num_classes)
