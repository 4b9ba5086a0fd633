import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.data import garments


@pytest.fixture(scope="module", autouse=True)
def few_at_once():
    """As many of each class are drawn, however few are asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(garments, "_CHUNK", 60)
        yield


@pytest.fixture(scope="module")
def train() -> tuple[np.ndarray, np.ndarray]:
    return garments.make(0, 8_000)


draw_one = jax.jit(garments.draw)


@jax.jit
def draw_class(seed: int, label: int) -> jax.Array:
    keys = jax.random.split(jax.random.key(seed), 50)
    return jax.vmap(garments.draw, in_axes=(0, None))(keys, label)


def test_there_are_ten_named_classes():
    assert len(set(garments.CLASS_NAMES)) == 10


@pytest.mark.parametrize("label", range(10))
def test_an_image_is_float32_in_the_unit_interval(label: int):
    images = draw_class(0, label)
    assert images.shape == (50, 28, 28, 1)
    assert images.dtype == jnp.float32
    assert jnp.isfinite(images).all()
    assert images.min() == 0.0
    assert 0.2 < images.max() <= 1.0


def test_equal_keys_draw_equal_images_and_other_keys_do_not():
    first, again, other = (draw_class(seed, 3) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not jnp.array_equal(first, other)


# A pixel moves by the rounding of its coordinates, so by about 28 * 2**-24 = 1.7e-6.
@pytest.mark.parametrize(
    "label", [0, 8, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 5, 7))]
)
def test_jit_draws_what_eager_evaluation_draws(label: int):
    key = jax.random.key(label)
    eager = garments.draw(key, label)
    jitted = draw_one(key, label)
    np.testing.assert_allclose(eager, jitted, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_vmap_over_keys_and_labels_draws_what_a_loop_draws():
    keys, labels = jax.random.split(jax.random.key(1), 10), jnp.arange(10)
    together = jax.jit(jax.vmap(garments.draw))(keys, labels)
    alone = jnp.stack([draw_one(k, i) for k, i in zip(keys, labels, strict=True)])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [1, 10, 1_234])
def test_a_data_set_is_uint8_with_balanced_int32_labels(size: int):
    images, labels = garments.make(3, size)
    assert images.shape == (size, 28, 28, 1)
    assert images.dtype == np.uint8
    assert labels.shape == (size,)
    assert labels.dtype == np.int32
    counts = np.bincount(labels, minlength=10)
    assert counts.max() - counts.min() <= 1


def test_labels_are_shuffled(train: tuple[np.ndarray, np.ndarray]):
    _, labels = train
    assert len({tuple(block) for block in labels.reshape(-1, 10)}) > 700


def test_a_smaller_data_set_is_the_beginning_of_a_larger_one(
    train: tuple[np.ndarray, np.ndarray],
):
    images, labels = garments.make(0, 1_001)
    np.testing.assert_array_equal(images, train[0][:1_001])
    np.testing.assert_array_equal(labels, train[1][:1_001])


def test_other_seeds_draw_other_images(train: tuple[np.ndarray, np.ndarray]):
    images, labels = garments.make(1, 1_000)
    assert not np.array_equal(labels, train[1][:1_000])
    known = {image.tobytes() for image in train[0]}
    assert not any(image.tobytes() in known for image in images)


def test_the_background_is_exactly_zero_at_the_corners(
    train: tuple[np.ndarray, np.ndarray],
):
    images, labels = train
    assert not images[:, 0, [0, -1]].any()
    # A wide bag or a sole may reach the lower ones.
    assert not images[np.isin(labels, (0, 1, 3))][:, -1, [0, -1]].any()


def test_every_image_has_a_garment_and_a_background(
    train: tuple[np.ndarray, np.ndarray],
):
    images, _ = train
    covered = (images > 0).mean(axis=(1, 2, 3))
    assert covered.min() > 0.08
    assert covered.max() < 0.9
    assert images.max(axis=(1, 2, 3)).min() > 25


def test_no_two_of_2000_images_are_equal(train: tuple[np.ndarray, np.ndarray]):
    assert len({image.tobytes() for image in train[0][:2_000]}) == 2_000


@pytest.mark.parametrize("label", range(10))
def test_images_of_a_class_differ(label: int, train: tuple[np.ndarray, np.ndarray]):
    images, labels = train
    some = images[labels == label][:100].reshape(100, -1) / 255.0
    square = (some**2).sum(axis=1)
    squares = square[:, None] + square[None, :] - 2 * some @ some.T
    distance = np.sqrt(np.maximum(squares, 0) / 784)[np.triu_indices(100, 1)]
    assert distance.min() > 0.03  # root mean square of the pixels' differences
    assert distance.mean() > 0.12


@pytest.mark.slow  # and that of the measures reaches as much: test_report.py
def test_a_small_classifier_names_over_95_percent_of_held_out_images(
    train: tuple[np.ndarray, np.ndarray],
):
    def inputs(images: np.ndarray) -> jax.Array:
        return jnp.asarray(images.reshape(-1, 784), jnp.float32) / 128.0 - 1.0

    x, y = inputs(train[0]), jnp.asarray(train[1])
    held_images, held_labels = garments.make(1, 2_000)
    k1, k2 = jax.random.split(jax.random.key(0))
    weights = {
        "w1": jax.random.normal(k1, (784, 256)) / 28.0,
        "b1": jnp.zeros((1, 256)),
        "w2": jax.random.normal(k2, (256, 10)) / 16.0,
        "b2": jnp.zeros((1, 10)),
    }

    def logits(weights: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        hidden = jax.nn.relu(x @ weights["w1"] + weights["b1"])
        return hidden @ weights["w2"] + weights["b2"]

    steps, batch = 1_200, 100
    optimiser = optax.adam(optax.cosine_decay_schedule(2e-3, steps))

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        weights, state = carry
        rows = jax.random.randint(key, (batch,), 0, len(x))

        def loss(weights: dict[str, jax.Array]) -> jax.Array:
            values = logits(weights, x[rows])
            return optax.softmax_cross_entropy_with_integer_labels(
                values, y[rows]
            ).mean()

        value, gradient = jax.value_and_grad(loss)(weights)
        update, state = optimiser.update(gradient, state)
        return (optax.apply_updates(weights, update), state), value

    keys = jax.random.split(jax.random.key(1), steps)
    (weights, _), _ = jax.jit(lambda c: jax.lax.scan(step, c, keys))(
        (weights, optimiser.init(weights))
    )
    guesses = logits(weights, inputs(held_images)).argmax(axis=1)
    accuracy = np.mean(np.asarray(guesses) == held_labels)
    print(f"held-out accuracy {accuracy:.4f}")
    assert accuracy > 0.95
