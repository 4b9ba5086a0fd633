"""What each corruption does to a pixel; and every measure grows with every one."""

import numpy as np
import pytest

from gan_jax import data, evaluation
from gan_jax.data import garments as drawn
from gan_jax.errors import UserError
from gan_jax.evaluation import CORRUPTIONS, corruptions


@pytest.fixture(scope="module")
def garments():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "_CHUNK", 60)  # it draws as many of each class
        return data.load("garments", garments_size=600).images


def gaussian_features(images):
    """The images seen along 16 random directions, in units near 1."""
    directions = np.random.default_rng(0).normal(size=(784, 16)) / 28
    return images.reshape(len(images), 784) / 255 @ directions


MEASURES = {
    "frechet": lambda x, y: evaluation.frechet_distance(
        gaussian_features(x), gaussian_features(y)
    ),
    "KID": lambda x, y: (
        evaluation.estimate_kid(gaussian_features(x), gaussian_features(y)).value
    ),
    "sliced": lambda x, y: evaluation.sliced_wasserstein(x, y, projections=64),
}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_measures_grow_with_every_corruption(garments, measure, name):
    reference, other = garments[:300], garments[300:]
    corrupt, levels = CORRUPTIONS[name]
    images = [other, *(corrupt(other, level) for level in levels)]
    values = [MEASURES[measure](reference, x) for x in images]
    assert values == sorted(set(values))
    assert len(levels) == 4


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_gives_new_images_of_the_same_form(garments, name):
    corrupt, levels = CORRUPTIONS[name]
    images = garments[:20]
    before = images.copy()
    for level in levels:
        result = corrupt(images, level)
        assert (result.shape, result.dtype) == ((20, 28, 28, 1), np.uint8)
        assert (result != images).any()
        np.testing.assert_array_equal(images, before)
        np.testing.assert_array_equal(corrupt(images, level), result)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_level_zero_changes_nothing_and_is_none_of_the_levels(garments, name):
    corrupt, levels = CORRUPTIONS[name]
    np.testing.assert_array_equal(corrupt(garments[:20], 0), garments[:20])
    assert min(levels) > 0


@pytest.mark.parametrize("name", ["blur", "crop"])
def test_an_image_is_changed_without_regard_to_the_others(garments, name):
    corrupt, (*_, level) = CORRUPTIONS[name]
    alone = np.concatenate([corrupt(garments[i : i + 1], level) for i in range(5)])
    np.testing.assert_array_equal(alone, corrupt(garments[:5], level))


def grey(value, count=50):
    return np.full((count, 28, 28, 1), value, np.uint8)


def test_noise_has_the_mean_and_deviation_that_were_asked_for():
    result = np.float64(corruptions.noise(grey(128), 10.0, seed=3))
    # 39,200 draws: the errors of mean and deviation are 0.05 and 0.036; rounding to
    # whole levels adds 1/12 to the variance.
    assert abs(result.mean() - 128) < 0.2
    assert abs(result.std() - np.sqrt(100 + 1 / 12)) < 0.15
    neighbours = np.corrcoef(result[:, :-1].ravel(), result[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.03


def test_noise_is_clipped_and_does_not_wrap_around():
    # Half of the noise is cut off: none of the rest is across the middle at 10 sigma.
    assert corruptions.noise(grey(0), 10.0).max() < 100
    assert corruptions.noise(grey(255), 10.0).min() > 155


def test_seeds_draw_other_noise_and_other_swaps(garments):
    for corrupt, level in ((corruptions.noise, 10), (corruptions.swap, 0.5)):
        one, other = (corrupt(garments[:20], level, seed) for seed in (0, 1))
        assert (one != other).any()


def test_blur_of_a_point_is_a_gaussian():
    images = grey(0, 1)
    images[0, 14, 14] = 255
    result = np.float64(corruptions.blur(images, 1.5)[0, :, :, 0])
    i, j = np.mgrid[:28, :28] - 14
    bell = np.exp(-(i**2 + j**2) / (2 * 1.5**2))
    np.testing.assert_allclose(result, 255 * bell / bell.sum(), atol=0.51)


def test_blur_keeps_flat_images_up_to_their_border():
    np.testing.assert_array_equal(corruptions.blur(grey(77, 2), 2.0), grey(77, 2))


@pytest.mark.parametrize("level", [1, 3, 6, 13])
def test_crop_is_bilinear_between_the_centres_of_square_pixels(level):
    image = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1)).astype(np.uint8)
    rest = np.float64(image[0, level : 28 - level, level : 28 - level, 0])
    side = len(rest)
    # The centre of pixel i lies at (i + 1/2) / 28 of the width, and beyond the first
    # and last centres of the rest, their value goes on.
    centres = (np.arange(28) + 0.5) * side / 28 - 0.5
    weights = np.array(
        [np.interp(centres, np.arange(side), row) for row in np.eye(side)]
    )
    expected = weights.T @ rest @ weights
    result = corruptions.crop(image, level)[0, :, :, 0]
    np.testing.assert_allclose(result, expected, atol=0.51)


@pytest.mark.parametrize(("level", "changed"), [(0.25, 5), (0.5, 10), (1.0, 20)])
def test_swap_gives_a_share_of_the_images_one_half_of_another(level, changed):
    # Image i is i everywhere, so that each pixel tells where it is from.
    images = np.broadcast_to(
        np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1), (20, 28, 28, 1)
    )
    result = corruptions.swap(images, level)[..., 0]
    left = np.arange(28)[None] < 14
    halves = [left | np.zeros((28, 1), bool), left.T | np.zeros((1, 28), bool)]
    halves += [~half for half in halves]
    used = set()
    different = 0
    for i, image in enumerate(result):
        foreign = image != i
        if foreign.any():
            (which,) = [h for h, half in enumerate(halves) if (foreign == half).all()]
            used.add(which)
            assert len(np.unique(image[foreign])) == 1
            different += 1
    assert different == changed
    if level == 1:
        assert used == {0, 1, 2, 3}


def test_more_swap_is_the_same_swaps_and_others(garments):
    images = garments[:40]
    few, all_of_them = (corruptions.swap(images, level) for level in (0.25, 1.0))
    for image, some, full in zip(images, few, all_of_them, strict=True):
        assert (some == image).all() or (some == full).all()


@pytest.mark.parametrize(
    ("name", "level", "limit"),
    [
        ("noise", -1.0, "0 or more"),
        ("blur", float("nan"), "0 or more"),
        ("blur", float("inf"), "0 or more"),
        ("crop", 14, "0 to 13"),
        ("crop", 1.5, "a whole number of pixels"),
        ("swap", 1.5, "0 to 1"),
    ],
)
def test_levels_out_of_range_are_refused(name, level, limit):
    with pytest.raises(UserError, match=f"the level is {level}: give {limit}"):
        CORRUPTIONS[name][0](grey(0, 2), level)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("images", [grey(0, 2) / 255, grey(0, 2)[..., 0], grey(0, 0)])
def test_images_of_another_form_are_refused(name, images):
    with pytest.raises(UserError, match=r"give uint8 \[N, height, width, ch"):
        CORRUPTIONS[name][0](images, 1)


def test_a_single_image_has_none_to_swap_with():
    with pytest.raises(UserError, match="at least 2 images, and there is 1"):
        corruptions.swap(grey(0, 1), 0.5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_images_of_any_shape_are_damaged_alike(name):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 12, 20, 3), np.uint8)
    damage, levels = CORRUPTIONS[name]
    np.testing.assert_array_equal(damage(images, 0), images)
    damaged = damage(images, levels[0])
    assert (damaged.shape, damaged.dtype) == (images.shape, np.uint8)
    assert (damaged != images).any()
    gray = damage(images[..., :1].copy(), levels[0])
    if name != "noise":  # of which every channel has its own
        np.testing.assert_array_equal(damaged[..., :1], gray)
