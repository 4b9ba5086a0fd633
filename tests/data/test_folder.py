"""Somebody's own pictures, as people have them."""

import os

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gan_jax.data import SPLITS, Pictures, dataset, folder
from gan_jax.data.folder import from_folder
from gan_jax.errors import UserError

RED = (200, 60, 30)
GRAY = 90


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "folders"


def picture(mode, colour, size=(12, 12)):
    return Image.new(mode, size, colour)


def save(path, made, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path, **how)
    return path


def only(root, how=None, **more):
    """The one picture of a folder, as the data set has it."""
    [image] = from_folder(root, how or Pictures(size=8, channels="3", **more)).images[:]
    return image


def palette(colour, **how):
    made = picture("RGB", colour).convert("P", palette=Image.Palette.ADAPTIVE)
    made.info.update(how)
    return made


KINDS = {
    "RGB.png": (lambda: picture("RGB", RED), RED, 0),
    "RGB.bmp": (lambda: picture("RGB", RED), RED, 0),
    "RGB.JPG": (lambda: picture("RGB", RED), RED, 3),
    "RGB.webp": (lambda: picture("RGB", RED), RED, 6),
    "palette.png": (lambda: palette(RED), RED, 0),
    "palette.gif": (lambda: palette(RED), RED, 0),
    "RGBA.png": (lambda: picture("RGBA", (*RED, 255)), RED, 0),
    "half.png": (lambda: picture("RGBA", (*RED, 128)), (227, 157, 142), 1),
    "clear.png": (lambda: picture("RGBA", (*RED, 0)), (255, 255, 255), 0),
    "clear gray.png": (lambda: picture("LA", (GRAY, 0)), (255, 255, 255), 0),
    "gray.png": (lambda: picture("L", GRAY), (GRAY,) * 3, 0),
    "alpha.png": (lambda: picture("LA", (GRAY, 255)), (GRAY,) * 3, 0),
    "bits.png": (lambda: picture("1", 1), (255,) * 3, 0),
    "16 bits.png": (lambda: picture("I;16", GRAY * 257), (GRAY,) * 3, 0),
    "CMYK.jpeg": (lambda: picture("RGB", RED).convert("CMYK"), RED, 4),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_picture_of_any_kind_has_its_colour(name, tmp_path):
    make, expected, tolerance = KINDS[name]
    save(tmp_path / "my pictures" / f"für {name}", make())
    image = only(tmp_path / "my pictures")
    assert image.dtype == np.uint8
    assert image.shape == (8, 8, 3)
    assert np.abs(image - np.array(expected, float)).max() <= tolerance


def test_a_transparent_colour_of_a_palette_shows_the_background(tmp_path):
    save(tmp_path / "in" / "a.gif", palette(RED), transparency=0)
    for background, colour in (("black", (0, 0, 0)), ("#102030", (16, 32, 48))):
        image = only(tmp_path / "in", background=background)
        assert {tuple(pixel) for pixel in image.reshape(-1, 3)} == {colour}


def test_of_a_film_the_first_frame_is_taken(tmp_path):
    first, second = palette(RED), palette((0, 0, 255))
    (tmp_path / "in").mkdir()
    first.save(tmp_path / "in" / "a.gif", save_all=True, append_images=[second])
    assert tuple(only(tmp_path / "in")[0, 0]) == RED


def halves():
    made = picture("RGB", (255, 0, 0), (16, 16))
    ImageDraw.Draw(made).rectangle([8, 0, 15, 15], fill=(0, 0, 255))
    return made


def test_a_camera_that_was_held_upright_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right to see it as it was
    save(tmp_path / "in" / "a.png", halves(), exif=exif)
    image = only(tmp_path / "in")
    assert tuple(image[0, 4]) == (255, 0, 0)
    assert tuple(image[7, 4]) == (0, 0, 255)


def test_the_square_at_the_centre_is_kept(tmp_path):
    made = picture("RGB", (0, 255, 0), (48, 16))
    made.paste(halves(), (16, 0))
    save(tmp_path / "in" / "a.png", made)
    image = only(tmp_path / "in", Pictures(size=16, channels="3"))
    np.testing.assert_array_equal(image, np.asarray(halves()))


def test_a_pattern_finer_than_the_pixels_becomes_their_mean(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    save(tmp_path / "in" / "a.png", Image.fromarray(board))
    image = only(tmp_path / "in", Pictures(size=16, channels="3"))
    assert np.abs(image[2:-2, 2:-2].astype(int) - 127).max() <= 1


def test_pixels_are_not_rounded_on_the_way(tmp_path):
    """8 bits of a transparent edge, composed and resized in one: as in float64."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (16, 16, 4), np.uint8)
    save(tmp_path / "in" / "a.png", Image.fromarray(pixels))
    opaque = pixels[..., 3:] / 255
    exact = pixels[..., :3] * opaque + 255 * (1 - opaque)
    image = only(tmp_path / "in", Pictures(size=16, channels="3"))
    assert np.abs(image - exact).max() <= 0.5 + 1e-4


# Channels


def test_channels_are_one_where_all_pictures_are_gray(tmp_path):
    root = tmp_path / "in"
    save(root / "a.png", picture("L", GRAY))
    save(root / "b.png", picture("RGB", (GRAY,) * 3))
    assert from_folder(root, Pictures(8)).shape == (8, 8, 1)
    assert from_folder(root, Pictures(8, channels="3")).shape == (8, 8, 3)
    save(root / "c.png", picture("RGB", RED))
    assert from_folder(root, Pictures(8)).shape == (8, 8, 3)
    gray = from_folder(root, Pictures(8, channels="1"))
    assert gray.shape == (8, 8, 1)
    luma = round(0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2])
    assert {int(image[0, 0, 0]) for image in gray.images[:]} == {GRAY, luma}


# Classes and order


def many(root, names, count=20):
    rng = np.random.default_rng(0)
    for i in range(count):
        made = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        save(root / names[i % len(names)] / f"{i}.png", made)
    return root


def test_a_subfolder_is_a_class_whatever_is_nested_in_it(tmp_path):
    root = many(tmp_path / "in", ["b/x/y", "a b", "ü"])
    (root / "a b" / "notes.txt").write_text("not a picture")
    save(root / ".trash" / "a.png", picture("L", 0))
    counts = np.zeros(3, int)
    for split in SPLITS:
        dataset = from_folder(root, Pictures(8), split)
        assert dataset.class_names == ("a b", "b", "ü")
        assert dataset.num_classes == 3
        assert dataset.labels.dtype == np.int32
        counts += np.bincount(dataset.labels, minlength=3)
        for image, label in zip(dataset.images[:], dataset.labels, strict=True):
            path = {0: "a b", 1: "b/x/y", 2: "ü"}[label]
            there = [np.asarray(Image.open(p)) for p in (root / path).glob("*.png")]
            assert any((image == other).all() for other in there)
    assert counts.tolist() == [7, 7, 6]


def test_without_subfolders_there_are_no_labels(tmp_path):
    dataset = from_folder(many(tmp_path / "in", ["."]), Pictures(8))
    assert dataset.labels is None
    assert dataset.num_classes == 0


def test_the_first_examples_are_of_all_classes_and_the_same_anywhere(tmp_path):
    names = ["a", "b"]
    few = from_folder(many(tmp_path / "in", names, 60), Pictures(8), num_examples=20)
    assert 5 <= few.labels.sum() <= 15
    moved = from_folder(many(tmp_path / "elsewhere", names, 60), Pictures(8))
    np.testing.assert_array_equal(few.images[:], moved.images[:20])
    assert moved.name == few.name


# What is held out


def test_one_picture_in_ten_is_held_out_and_the_splits_have_one_name(tmp_path):
    root = many(tmp_path / "in", ["a", "b"], 40)
    train, test = (from_folder(root, Pictures(8), split) for split in SPLITS)
    assert (len(train.images), len(test.images)) == (36, 4)
    assert train.name == test.name
    assert "one in ten of 40 pictures held out" in train.source
    both = {image.tobytes() for split in (train, test) for image in split.images[:]}
    assert len(both) == 40
    assert (len(train.labels), len(test.labels)) == (36, 4)
    few = many(tmp_path / "few", ["a"], 9)
    assert len(from_folder(few, Pictures(8)).images) == 9
    with pytest.raises(UserError, match="has 9 images, and one of 10 is held out"):
        from_folder(few, Pictures(8), "test")


def test_the_subfolders_train_and_test_are_splits_and_no_classes(tmp_path):
    root = many(tmp_path / "in", ["train/cat", "train/dog", "test/dog"], 30)
    train, test = (from_folder(root, Pictures(8), split) for split in SPLITS)
    assert train.class_names == test.class_names == ("cat", "dog")
    assert (np.bincount(train.labels).tolist(), test.labels.tolist()) == (
        [10, 10],
        [1] * 10,
    )
    assert "held out" not in train.source
    assert train.name == test.name
    more = many(tmp_path / "more", ["train", "test", "else"], 30)
    assert from_folder(more, Pictures(8)).class_names == ("else", "test", "train")


def test_links_to_nothing_are_named_and_linked_folders_left_alone(tmp_path):
    root = many(tmp_path / "in", ["a", "b"], 4)
    (root / "a" / "loop").symlink_to(root)
    assert len(from_folder(root, Pictures(8)).images) == 4
    (root / "a" / "x.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"x.png cannot be read .*No such file"):
        from_folder(root, Pictures(8))


# The cache


def test_pictures_are_read_once_and_again_when_one_has_changed(tmp_path, monkeypatch):
    root = many(tmp_path / "in", ["a", "b"], 6)
    read, asked = folder.read_picture, []
    monkeypatch.setattr(
        folder, "read_picture", lambda path, how: asked.append(path) or read(path, how)
    )
    first = from_folder(root, Pictures(8))
    assert len(asked) == 6
    again = from_folder(root, Pictures(8))
    assert len(asked) == 6
    np.testing.assert_array_equal(first.images[:], again.images[:])
    from_folder(root, Pictures(16))
    assert len(asked) == 12
    save(root / "a" / "0.png", picture("RGB", RED))
    assert from_folder(root, Pictures(8)).name != first.name
    assert len(asked) == 18


def test_a_picture_that_is_not_looked_at_changes_the_name_too(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "LOOKED_AT", 2)  # the first and the last
    root = many(tmp_path / "in", ["a", "b"], 6)
    first = from_folder(root, Pictures(8))
    kept = first.images[:]
    for path in sorted(root.rglob("*.png")):
        old = path.read_bytes()
        save(path, picture("RGB", RED))
        found = from_folder(root, Pictures(8))
        assert found.name != first.name, path
        path.write_bytes(old)
    assert from_folder(root, Pictures(8)).name == first.name
    np.testing.assert_array_equal(from_folder(root, Pictures(8)).images[:], kept)


def test_another_folder_of_equal_names_sizes_and_times_is_read(tmp_path):
    for name, level in (("one", 0), ("two", 255)):
        path = save(tmp_path / name / "0.bmp", picture("L", level))
        os.utime(path, ns=(10**18, 10**18))
    sizes = {(tmp_path / name / "0.bmp").stat().st_size for name in ("one", "two")}
    assert len(sizes) == 1
    for name, level in (("one", 0), ("two", 255)):
        assert (from_folder(tmp_path / name, Pictures(8)).images[:] == level).all()


def test_pictures_of_a_run_are_no_class(tmp_path):
    root = many(tmp_path / "in", ["a", "b"], 6)
    first = from_folder(root, Pictures(8))
    for run, mark in (("hinge", ".lock"), ("old", "metrics.jsonl")):
        save(root / "runs" / run / "samples" / "step_000050.png", picture("L", 3))
        (root / "runs" / run / "config.json").write_text("{}")
        (root / "runs" / run / mark).write_text("")
    again = from_folder(root, Pictures(8))
    assert (again.name, again.class_names) == (first.name, ("a", "b"))


def test_what_is_broken_off_leaves_nothing_that_counts(tmp_path, monkeypatch, cache):
    root = many(tmp_path / "in", ["a", "b"], 6)

    def fail(path, how):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(folder, "read_picture", fail)
        with pytest.raises(KeyboardInterrupt):
            from_folder(root, Pictures(8))
    assert not [p for p in cache.iterdir() if p.suffix in (".npy", ".json")]
    assert len(from_folder(root, Pictures(8)).images) == 6


@pytest.mark.parametrize("which", ["npy", "json"])
@pytest.mark.parametrize("how", ["gone", "empty", "cut off"])
def test_where_what_was_kept_is_not_whole_pictures_are_read_anew(
    which, how, tmp_path, cache
):
    root = many(tmp_path / "in", ["a", "b"], 6)
    first = from_folder(root, Pictures(8)).images[:]
    [kept] = cache.glob(f"*.{which}")
    if how == "gone":
        kept.unlink()
    else:
        kept.write_bytes(kept.read_bytes()[: -9 if how == "cut off" else 0])
    np.testing.assert_array_equal(from_folder(root, Pictures(8)).images[:], first)


# Mistakes


def damage(path):
    path.write_bytes(path.read_bytes()[:-40])


def test_a_damaged_picture_is_named_or_left_out_and_counted(tmp_path, cache):
    root = many(tmp_path / "in", ["a", "b"], 10)
    damage(root / "a" / "4.png")
    (root / "b" / "3.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"(4|3)\.png cannot be read .*--skip_damaged"):
        from_folder(root, Pictures(8))
    assert not [p for p in cache.iterdir() if p.suffix in (".npy", ".json")]
    dataset = from_folder(root, Pictures(8, skip_damaged=True))
    assert (len(dataset.images), len(dataset.labels)) == (8, 8)
    assert "in, 2 damaged left out" in dataset.source
    assert np.bincount(dataset.labels).tolist() == [4, 4]


def test_a_picture_of_too_many_pixels_is_not_opened(tmp_path, monkeypatch):
    save(tmp_path / "in" / "a.png", picture("L", 0, (100, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_999)
    with pytest.raises(UserError, match=r"a.png cannot be read \(100 x 100 pixels are"):
        from_folder(tmp_path / "in", Pictures(8))


def test_mistakes_are_one_line(tmp_path):
    root = tmp_path / "in"
    with pytest.raises(UserError, match="there is no readable folder"):
        from_folder(root, Pictures())
    root.mkdir()
    (root / "a.txt").write_text("")
    with pytest.raises(UserError, match=r"no pictures \(png, jpg.* but 1 other files"):
        from_folder(root, Pictures())
    many(root, ["a", "."], 4)
    with pytest.raises(UserError, match=r"2 pictures lie beside the subfolders of"):
        from_folder(root, Pictures())
    with pytest.raises(UserError, match="--background=whiet is no colour"):
        from_folder(root, Pictures(background="whiet"))
    many(tmp_path / "few", ["a"], 2)
    with pytest.raises(UserError, match=r"--num_examples=3 is more than .* has: 2"):
        from_folder(tmp_path / "few", Pictures(), num_examples=3)
    for path in (tmp_path / "few").rglob("*.png"):
        os.truncate(path, 20)
    with pytest.raises(UserError, match=r"every picture in .* is damaged"):
        from_folder(tmp_path / "few", Pictures(skip_damaged=True))
