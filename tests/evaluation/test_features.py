"""What images are measured in: of classifiers, of channels, and of an untrained net."""

import jax
import numpy as np
import pytest

from gan_jax import data, recipes, training
from gan_jax.data import stacked
from gan_jax.errors import UserError
from gan_jax.evaluation import (
    batches,
    classifier,
    corruptions,
    features,
    frechet,
    kid,
    monitor,
    random_features,
    references,
    report,
)
from gan_jax.run.sampling import Samples


def noise(shape, count=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


# Random features


@pytest.mark.parametrize(
    "shape", [(16, 24, 3), pytest.param((32, 32, 1), marks=pytest.mark.slow)]
)
def test_random_features_are_the_same_every_time_for_images_of_any_shape(shape):
    images = noise(shape)
    first, again = (
        random_features.extract(random_features.initialise(shape), images)
        for _ in range(2)
    )
    assert (first.shape, first.dtype) == ((12, 64), np.float64)
    np.testing.assert_array_equal(first, again)
    alone = random_features.extract(random_features.initialise(shape), images[3:4])
    np.testing.assert_allclose(alone[0], first[3], rtol=1e-5, atol=1e-5)
    assert np.linalg.matrix_rank(first - first.mean(axis=0)) == 11


@pytest.fixture(scope="module")
def untrained(reference):
    """The reference images in random features."""
    measured_in = features.of_untrained_network(reference.test_split)
    found, _ = measured_in.extract(reference.test_split.images)
    splits = (reference.training_split, reference.test_split)
    return references.Reference(measured_in, *splits, found)


def test_distances_in_random_features_grow_with_damage(untrained):
    clean = references.floor(untrained, 200).images
    for name, (damage, levels) in corruptions.CORRUPTIONS.items():
        damaged = [damage(clean, level) for level in (0, levels[1], levels[3])]
        found, _ = untrained.measured_in.extract(np.concatenate(damaged))
        for measure in (frechet.frechet_distance, lambda *x: kid.estimate_kid(*x)[0]):
            grown = [measure(x, untrained.features) for x in np.split(found, 3)]
            assert grown == sorted(grown), (name, grown)
            assert grown[2] > 2 * abs(grown[0]), (name, grown)


def test_random_features_are_named_so_and_know_no_classes(untrained):
    values = report.measure(references.floor(untrained, 50), untrained)
    assert "frechet_random" in values
    assert not {"fcd", "fid", "class_kl", "class_accuracy", "modes"} & values.keys()
    assert untrained.measured_in.describe()["name"] == "random"
    assert untrained.measured_in.sentence().startswith("random features of an untrain")


# Stacked images


@pytest.fixture(scope="module")
def of_channels(reference):
    """Triples of garments, in the features of the garments' classifier."""
    splits = [
        stacked.stack(split, name, 500)
        for name, split in zip(
            data.SPLITS, (reference.training_split, reference.test_split), strict=True
        )
    ]
    [gray] = [reference.measured_in.extract.args[0]]
    measured_in = features.of_channels(gray)
    found, _ = measured_in.extract(splits[1].images)
    return references.Reference(measured_in, *splits, found)


def test_the_class_of_a_stacked_image_is_that_of_its_channels(reference, of_channels):
    split = of_channels.test_split
    found, classes = of_channels.measured_in.extract(split.images)
    assert found.shape == (500, 3 * 128)
    digits = []
    for i in range(3):
        channel = np.ascontiguousarray(split.images[..., i : i + 1])
        its_features, its_classes = reference.measured_in.extract(channel)
        np.testing.assert_array_equal(found[:, 128 * i : 128 * (i + 1)], its_features)
        digits.append(its_classes)
    np.testing.assert_array_equal(classes, np.array([100, 10, 1]) @ np.array(digits))
    assert np.mean(classes == split.labels) > 0.85  # three times right


def test_modes_are_counted_and_compared_with_uniform(of_channels):
    floor = report.measure(Samples(of_channels.test_split.images), of_channels)
    # Of 500 draws among 1,000 equal modes, 394 differ on average.
    expected = 1000 * (1 - (1 - 1 / 1000) ** 500)
    assert floor["modes"] == pytest.approx(expected, rel=0.1)
    one = np.repeat(of_channels.test_split.images[:1], 100, axis=0)
    alone = report.measure(Samples(one), of_channels)
    assert alone["modes"] == 1
    assert alone["class_kl"] == pytest.approx(np.log(1000))


def test_the_monitor_counts_modes_as_well(of_channels, small_networks):
    gan = recipes.make_gan(recipes.recipe("hinge"), shape=(28, 28, 3))
    state = training.init_state(gan, jax.random.key(0), (28, 28, 3))
    found = monitor.Monitor(of_channels, num_samples=100)(gan, state)
    assert found.keys() == {"fcd", "fcd_floor", "modes", "class_kl"}
    assert 1 <= found["modes"] <= 100


# Which features a data set has


def of_one_s_own(tmp_path, fewest=references.FEWEST, **arrays):
    np.savez(tmp_path / "mine.npz", **arrays)
    return references.load_reference(
        "npy",
        data_dir=tmp_path / "mine.npz",
        quick=True,
        fewest=fewest,
        say=lambda line: None,
    )


def test_images_of_any_shape_with_labels_have_a_classifier(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path))
    labels = np.arange(600) % 3
    images = noise((8, 12, 3), 600)
    images[..., 0] = np.where(labels == 0, 250, 5)[:, None, None]
    images[..., 1] = np.where(labels == 1, 250, 5)[:, None, None]
    reference = of_one_s_own(tmp_path, images=images, labels=labels)
    assert reference.measured_in.name == "classifier"
    assert reference.measured_in.num_classes == 3
    assert reference.measured_in.about["accuracy"] == 1
    values = report.measure(references.floor(reference, 100), reference)
    assert len(values["class_histogram"]) == 3
    assert values["class_accuracy"] == 1
    assert "fcd" in values


def test_images_without_labels_are_measured_in_random_features(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path))
    reference = of_one_s_own(tmp_path, images=noise((8, 12, 3), 600))
    assert reference.measured_in.name == "random"
    assert (len(reference.training_split.images), len(reference.features)) == (540, 60)
    with pytest.raises(UserError, match=r"no labels to train a classifier.*random"):
        references.load_reference(
            "npy",
            measured_in="classifier",
            data_dir=tmp_path / "mine.npz",
            say=lambda line: None,
        )


def never(*_, **__):
    raise AssertionError("a classifier is trained, or looked for")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (59, None, "5 test images, .*give 60 images or more, or 6 or more in each"),
        (20, 5, "5 test images"),
        (5, 20, "5 training images"),
    ],
)
def test_what_is_too_little_to_measure_is_refused_before_the_training(
    tmp_path, monkeypatch, train, test, message
):
    monkeypatch.setattr(classifier, "load_or_train", never)
    names = {"images": train} if test is None else {"x_train": train, "x_test": test}
    arrays = {name: noise((8, 8, 1), count) for name, count in names.items()}
    for name in names:
        labels = {"images": "labels"}.get(name, name.replace("x", "y"))
        arrays[labels] = np.arange(len(arrays[name])) % 2
    with pytest.raises(UserError, match=message):
        of_one_s_own(tmp_path, **arrays)


def test_a_distance_to_the_training_images_takes_fewer(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path))
    few = of_one_s_own(tmp_path, fewest=2, images=noise((8, 12, 3), 30))
    assert len(few.features) == 3


def test_of_too_many_images_some_are_measured(monkeypatch):
    monkeypatch.setattr(references, "MOST", 100)
    images, labels = noise((8, 8, 1), 250), np.arange(250, dtype=np.int32)
    whole = data.Dataset("npy-0", data.Part(images, np.arange(250)), labels, (), "here")
    reference = references.Reference(None, whole, whole, None)
    some = reference.seen()
    assert len(some.images) == len(np.unique(some.labels)) == 100
    assert (some.labels[0], some.labels[-1]) == (0, 249)
    np.testing.assert_array_equal(some.images, images[some.labels])
    assert len(reference.training_split.images) == 250


@pytest.mark.parametrize(
    "features_of_shape", [((1, 8, 1), 256), ((3, 2, 1), 32), ((4, 4, 1), 32)]
)
def test_the_classifier_pools_where_there_is_something_to_pool(features_of_shape):
    shape, flat = features_of_shape
    init = classifier.Network().init
    made = jax.eval_shape(init, jax.random.key(0), np.zeros((1, *shape)))
    assert made["params"]["Dense_0"]["kernel"].shape == (flat, 128)


@pytest.mark.parametrize("shape", [(1, 8, 1), (10, 13, 3)])
def test_networks_take_images_of_any_side(shape):
    images = noise(shape, 40)
    labels = (np.arange(40) % 2).astype(np.int32)
    made = data.Dataset("npy-0", images, labels, ("a", "b"), "here")
    params = classifier.train(made, epochs=1)
    trained = classifier.Classifier(params, "npy-0", 0.0, "")
    assert classifier.classify(trained, images)[0].shape == (40, 128)
    found, _ = features.of_untrained_network(made).extract(images)
    assert found.shape == (40, 64)
    assert np.ptp(found, axis=0).max() > 0


def test_larger_images_are_taken_in_smaller_batches():
    """And what is beside the images is cut as they are."""
    sizes = []

    def network(batch, beside):
        sizes.append((len(batch), len(beside)))
        return [batch[:, 0, 0, 0], beside]

    for side, expected in ((28, 33), (64, 6), (256, 1)):
        images = noise((side, side, 3), 2 * expected + 1)
        numbers = np.arange(len(images))
        corners, beside = batches.in_batches(network, images, None, numbers)
        np.testing.assert_array_equal(corners, images[:, 0, 0, 0])
        np.testing.assert_array_equal(beside, numbers)
        assert sizes == 3 * [(expected, expected)]
        sizes.clear()
