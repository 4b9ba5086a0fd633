"""All measures at once, and several sets of samples side by side."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from gan_jax import recipes, training
from gan_jax.errors import UserError
from gan_jax.evaluation import (
    comparison,
    frechet,
    monitor,
    neighbours,
    references,
    report,
    score_table,
)
from gan_jax.run import configuration, loop, run_folder, sample_files, sampling
from tests import small

COUNT = 200


@pytest.fixture(scope="module")
def floor(reference):
    return report.measure(references.floor(reference, COUNT), reference)


def test_the_reference_is_the_test_split_and_its_classifier_is_good(reference):
    assert reference.measured_in.about["accuracy"] > 0.95
    assert len(reference.features) == len(reference.test_split.images) == 2000
    assert not np.array_equal(
        reference.test_split.images, reference.training_split.images
    )


def test_training_images_are_near_the_test_images_and_noise_is_far(reference, floor):
    name, noise = references.ceiling(reference, COUNT)
    ceiling = report.measure(noise, reference)
    assert name == "noise"
    assert ceiling["fcd"] > 20 * floor["fcd"]
    assert ceiling["kid"] > 20 * abs(floor["kid"])
    assert ceiling["sliced_wasserstein"] > 5 * floor["sliced_wasserstein"]
    assert floor["precision"] > 0.8 > 0.1 > ceiling["precision"]
    assert floor["recall"] > 0.8 > 0.1 > ceiling["recall"]
    assert floor["coverage"] > ceiling["coverage"]
    assert floor["class_kl"] < 0.1 < ceiling["class_kl"]
    assert floor["class_accuracy"] > 0.9
    assert "class_accuracy" not in ceiling  # noise has no labels
    assert sum(floor["class_histogram"]) == pytest.approx(1)


def test_intervals_are_around_the_values_and_few_samples_are_not_extrapolated(floor):
    for name in ("fcd", "kid"):
        lower, upper = floor[f"{name}_interval"]
        assert lower < floor[name] < upper
        assert upper - floor[name] == pytest.approx(floor[name] - lower)
    assert "fcd_infinity" not in floor  # 200 samples, and 128 dimensions


def test_enough_samples_are_extrapolated_and_who_wants_no_more_gets_no_more(reference):
    samples = references.floor(reference, 600)
    values = report.measure(samples, reference)
    less = report.measure(samples, reference, uncertainty=False)
    assert values["fcd_infinity"] < values["fcd"]
    more = ("fcd_interval", "kid_interval", "fcd_infinity")
    assert less == {name: value for name, value in values.items() if name not in more}


def test_one_class_alone_shows_in_the_class_measures(reference):
    split = reference.training_split
    boots = split.images[split.labels == 9][:COUNT]
    asked_for_bags = sampling.Samples(boots, np.full(len(boots), 8, np.int32))
    values = report.measure(asked_for_bags, reference)
    assert values["class_kl"] > 2  # log(10) = 2.30 for one class exactly
    assert values["class_histogram"][9] > 0.9
    assert values["class_accuracy"] < 0.1


def test_a_damage_that_the_eye_sees_raises_the_distances(reference, floor):
    samples = references.floor(reference, COUNT)
    darker = sampling.Samples(samples.images // 2, samples.labels)
    values = report.measure(darker, reference)
    for name in ("fcd", "kid", "sliced_wasserstein"):
        assert values[name] > floor[name]


def test_too_few_samples_say_which_measure_needs_how_many(reference):
    samples = references.floor(reference, 5)
    with pytest.raises(UserError, match=r"precision.*at least 6 samples.*there are 5"):
        report.measure(samples, reference)


def test_the_floor_is_other_images_for_another_seed_and_never_one_twice(reference):
    one, other = (references.floor(reference, 50, seed=seed).images for seed in (0, 1))
    assert not np.array_equal(one, other)
    everything = references.floor(reference, 10**6).images
    assert len({image.tobytes() for image in everything}) == 2000


def test_garments_stand_beside_fashion_mnist_as_the_ceiling(reference):
    split = dataclasses.replace(reference.test_split, name="fashion_mnist")
    fashion = dataclasses.replace(reference, test_split=split)
    name, samples = references.ceiling(fashion, 20)
    assert name == "drawn garments"
    assert samples.images.shape == (20, 28, 28, 1)
    assert samples.labels.shape == (20,)


def test_the_monitor_measures_the_distance_to_the_training_images(
    small_networks, reference
):
    gan = recipes.make_gan(recipes.recipe("hinge"))
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    measure = monitor.Monitor(reference, num_samples=COUNT)
    values = measure(gan, state)
    images = sampling.draw(gan, state, COUNT).images
    features, real = (
        reference.measured_in.extract(x)[0]
        for x in (images, reference.training_split.images)
    )
    assert values == {
        "fcd": pytest.approx(frechet.frechet_distance(features, real)),
        "fcd_floor": measure.floor,
    }
    assert 0 < measure.floor < values["fcd"] / 10


def test_its_floor_is_the_distance_of_as_many_test_images(reference):
    real = reference.measured_in.extract(reference.training_split.images)[0]
    everything = frechet.frechet_distance(reference.features, real)
    of_all = monitor.Monitor(reference, num_samples=10**5)
    assert of_all.floor == pytest.approx(everything)
    assert f"test images have {everything:.1f}" in of_all.describe()
    of_few = monitor.Monitor(reference, num_samples=COUNT)
    assert of_few.floor > everything  # a distance of fewer images is larger


def test_the_floor_is_the_distance_of_training_images(reference):
    seen = references.floor(reference, COUNT).images
    distance = frechet.frechet_distance(
        reference.measured_in.extract(seen)[0], reference.features
    )
    assert references.floor_distance(reference, COUNT) == pytest.approx(distance)


# Several at once


@pytest.fixture(scope="module")
def compared(reference, tmp_path_factory):
    """Four runs of three steps, two of one configuration, one half done; and a file."""
    with small.installed(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield compare(reference, tmp_path_factory.mktemp("runs"))


def compare(reference, root):
    dataset = dataclasses.replace(
        reference.training_split,
        images=reference.training_split.images[:64],
        labels=reference.training_split.labels[:64],
    )
    subjects = []
    for name, loss, seed in (
        ("a", "hinge", 0),
        ("b", "hinge", 1),
        ("c", "kl", 0),
        ("half", "hinge", 2),
    ):
        recipe = recipes.recipe(loss, batch_size=8)
        config = configuration.Config(recipe, "garments", seed, 3)
        run_folder.prepare(root / name, config, overwrite=False)
        devices = jax.devices()[:1]
        loop.train(config, dataset, root / name, devices=devices, say=lambda line: None)
        if name == "half":
            config = dataclasses.replace(config, steps=6)
        configuration.write_config(root / name, config)
        subjects.append(comparison.run_subject(root / name, COUNT, 7))
    sample_files.write_npz(
        root / "real.npz", references.floor(reference, COUNT + 1, seed=5)
    )
    subjects.append(comparison.file_subject(root / "real.npz", COUNT))
    return root, comparison.compare(subjects, reference, COUNT, say=lambda line: None)


def fcd_of(compared, name):
    subjects = [subject.name for subject in compared.subjects]
    return compared.values[subjects.index(str(name))]["fcd"]


def test_the_table_is_sorted_between_floor_and_ceiling(compared):
    root, measured = compared
    header, rows = score_table.table(measured)
    assert header[:2] == ["samples", "FCD"]
    assert [row[0] for row in rows[:2]] == ["training images", str(root / "real.npz")]
    assert rows[-1][0] == "noise"
    fcd = [float(row[1].split(" ")[0]) for row in rows[1:-1]]
    assert fcd == sorted(fcd)
    assert all(len(row) == len(header) for row in rows)


def test_runs_that_differ_in_their_seed_share_a_row_of_mean_and_deviation(compared):
    root, measured = compared
    rows = {row[0]: row for row in score_table.table(measured)[1]}
    assert str(root / "c") in rows
    assert str(root / "b") not in rows
    one, two = (fcd_of(measured, root / name) for name in "ab")
    # The deviation of two numbers from n - 1: |difference| / sqrt(2).
    expected = f"{(one + two) / 2:.2f} ± {abs(one - two) / 2**0.5:.2f}"
    assert rows[f"{root / 'a'} + 1 more seed"][1] == expected


def test_a_run_that_is_half_done_says_so_and_is_averaged_with_none(compared):
    root, measured = compared
    rows = {row[0]: row for row in score_table.table(measured)[1]}
    name = f"{root / 'half'} (step 3 of 6)"
    assert rows[name][1].split(" ")[0] == f"{fcd_of(measured, name):.2f}"


def test_copies_of_a_run_are_no_evidence_of_spread(compared):
    root, measured = compared
    first = measured.subjects[0]
    twice = dataclasses.replace(
        measured,
        subjects=[first, dataclasses.replace(first, name="copy")],
        values=[measured.values[0]] * 2,
    )
    names = [row[0] for row in score_table.table(twice)[1]]
    assert names == ["training images", str(root / "a"), "copy", "noise"]


def test_every_run_keeps_its_numbers_and_a_picture_of_its_neighbours(compared):
    root, measured = compared
    for subject, values in zip(measured.subjects[:4], measured.values, strict=False):
        document = json.loads((subject.folder / "evaluation.json").read_text())
        assert document["values"] == values
        assert document["num_samples"] == COUNT
        assert document["seed"] == 7
        assert document["step"] == 3
        assert document["features"]["name"] == "classifier"
        assert len(document["features"]["sha256"]) == 64
        assert document["floor"]["fcd"] < document["ceiling"]["fcd"]
        assert (subject.folder / "neighbours.png").exists()
    assert not list(root.rglob("*.part"))


def test_a_run_that_starts_again_keeps_no_evaluation_of_the_one_before(compared):
    root, measured = compared
    config = measured.subjects[2].config
    run_folder.prepare(root / "c", config, overwrite=True)
    # The settings stay until those of the next run replace them.
    assert [path.name for path in (root / "c").iterdir()] == ["config.json"]


def test_a_copied_training_image_stands_beside_itself(reference):
    split = reference.training_split
    rows = neighbours.beside_nearest(split.images[20:40], split.images)
    rows = rows.reshape(10, 10, 28, 28, 1)
    np.testing.assert_array_equal(rows[:, 0], split.images[20:30])
    np.testing.assert_array_equal(rows[:, 1], rows[:, 0])
    assert (rows[:, 2] != rows[:, 0]).any(axis=(1, 2, 3)).all()
    fewer = split.images[20:27]
    assert len(neighbours.beside_nearest(fewer, split.images)) == 70


def test_a_file_with_fewer_samples_than_are_asked_for_is_refused(compared):
    with pytest.raises(UserError, match=r"real.npz holds 201 images.*asks for 500"):
        comparison.file_subject(compared[0] / "real.npz", 500)


def test_a_discriminator_is_asked_about_the_images_that_it_was_trained_on(
    compared, reference, tmp_path, monkeypatch
):
    _, measured = compared
    configuration.write_config(tmp_path, measured.subjects[0].config)
    monkeypatch.setattr(comparison, "_bounds", lambda *_: ({}, {"name": "noise"}))
    pictures = []
    monkeypatch.setattr(
        comparison.neighbours,
        "beside_nearest",
        lambda samples, images: pictures.append(len(images)) or samples[:10],
    )
    asked = []
    first = dataclasses.replace(
        measured.subjects[0],
        folder=tmp_path,
        score=lambda **sets: asked.append(sets) or {"told_apart": 0.75},
    )

    def compare(**changed):
        config = dataclasses.replace(first.config, **changed)
        subject = dataclasses.replace(first, config=config)
        return comparison.compare([subject], reference, COUNT, lambda line: None)

    for examples, count in ((None, 2000), (50, 50)):
        assert compare(num_examples=examples).values[0]["told_apart"] == 0.75
        seen = asked.pop()["seen"]
        split = reference.training_split
        np.testing.assert_array_equal(seen.images, split.images[:count])
        np.testing.assert_array_equal(seen.labels, split.labels[:count])
        assert pictures.pop() == count
    # Of others it has not been trained on any, and they may have other labels, or none.
    assert "told_apart" not in compare(dataset="mnist").values[0]
    assert not asked


def test_the_step_is_that_of_the_checkpoint_which_could_be_read(compared, tmp_path):
    root, _ = compared
    folder = tmp_path / "run"
    shutil.copytree(root / "half", folder)
    for path in (folder / "checkpoints").iterdir():
        newer = path.with_name(path.name.replace("3", "5"))
        (shutil.copytree if path.is_dir() else shutil.copy)(path, newer)
    subject = comparison.run_subject(folder, COUNT, 7)
    assert subject.step == 3
    assert subject.name == f"{folder} (step 3 of 6)"


def test_runs_of_different_data_sets_are_not_compared(compared):
    subjects = compared[1].subjects
    config = dataclasses.replace(subjects[0].config, dataset="mnist")
    other = dataclasses.replace(subjects[0], config=config)
    with pytest.raises(UserError, match=r"on mnist, .* on garments"):
        comparison.common_dataset([other, subjects[1]])
    assert comparison.common_dataset(subjects) == "garments"
    assert comparison.common_dataset(subjects[4:]) is None  # files alone
