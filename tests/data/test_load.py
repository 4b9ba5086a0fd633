"""Small files under the published names; a server on the loopback plays the network."""

import gzip
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from tensorflow_datasets.core.download import checksums

from gan_jax import data
from gan_jax.data import garments, mnist_family, published
from gan_jax.errors import UserError
from tests.data import archives
from tests.data.test_idx import pack

TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
SIZES = {"train": 12, "test": 7}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as `server.mood` says: whole, cut, other, missing, busy or silent."""

    def do_GET(self):
        server = self.server
        server.requests.append(self.path)
        if server.mood == "silent":
            server.released.wait()
            return
        if server.mood == "missing":
            self.send_error(404)
            return
        if server.mood == "busy" and len(server.requests) > 1:
            self.send_error(503)
            return
        content = (server.folder / self.path.lstrip("/")).read_bytes()
        cut = server.mood == "cut" and "images" in self.path
        if server.mood == "other" and "train-images" in self.path:
            content = b"<html>please log in</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves the made-up data sets, and TFDS 'knows' their addresses and checksums."""
    folder = tmp_path / "published"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.folder, server.mood, server.requests = folder, "whole", []
    server.released = threading.Event()
    tables = {}
    for seed, name in enumerate(mnist_family.NAMES):
        rng = np.random.default_rng(seed)
        (folder / name).mkdir(parents=True)
        tables[name] = {}
        for files, size in zip((TRAIN, TEST), SIZES.values(), strict=True):
            images = rng.integers(0, 256, (size, 28, 28), np.uint8)
            labels = rng.integers(0, 10, size, np.uint8)
            for file, array in zip(files, (images, labels), strict=True):
                path = folder / name / file
                path.write_bytes(gzip.compress(pack(array), mtime=0))
                tables[name][file] = address_and_checksum(server, path)
    for name, (file, write) in archives.ARCHIVES.items():
        (folder / name).mkdir()
        write(folder / name / file)
        tables[name] = {file: address_and_checksum(server, folder / name / file)}
    monkeypatch.setattr(published, "published_files", tables.__getitem__)
    monkeypatch.setattr(mnist_family, "SIZES", SIZES)
    # A server that is only slow is waited for, in tests where one answers.
    monkeypatch.setattr(published, "_PATIENCE", 3600.0)
    monkeypatch.setattr(garments, "make", draw)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.delenv("GAN_JAX_DATA_DIR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def address_and_checksum(server, path):
    place = path.relative_to(server.folder)
    url = f"http://127.0.0.1:{server.server_port}/{place}"
    return url, checksums.compute_url_info(path)


def draw(seed, size):
    """Stands in for the drawing, which takes seconds to compile."""
    images = np.full((size, 28, 28, 1), seed, np.uint8)
    return images, np.arange(size, dtype=np.int32) % 10


def close(server):
    server.shutdown()
    server.server_close()


def copy(source, target, files=TRAIN + TEST):
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        (target / file).write_bytes((source / file).read_bytes())
    return target


def fails(words, *args, **kwargs):
    """Loading fails in one line with those words; returns the error."""
    with pytest.raises(UserError) as caught:
        data.load(*args, **kwargs)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


# From a folder.


@pytest.mark.parametrize("name", mnist_family.NAMES)
@pytest.mark.parametrize("split", SIZES)
@pytest.mark.parametrize("inside", [False, True], ids=["folder", "subfolder"])
def test_the_published_files_are_read_from_a_folder(
    server, tmp_path, name, split, inside
):
    folder = tmp_path / "given"
    home = copy(server.folder / name, folder / name if inside else folder)
    close(server)
    loaded = data.load(name, split, data_dir=folder)
    size = SIZES[split]
    assert loaded.name == name
    assert loaded.images.shape == (size, 28, 28, 1)
    assert loaded.images.dtype == np.uint8
    assert loaded.labels.shape == (size,)
    assert loaded.labels.dtype == np.int32
    assert loaded.class_names == mnist_family.CLASS_NAMES[name]
    assert loaded.source == f"read from {home}"
    assert loaded.warning is None
    rng = np.random.default_rng(list(mnist_family.NAMES).index(name))
    if split == "train":
        drawn = rng.integers(0, 256, (size, 28, 28), np.uint8)
        np.testing.assert_array_equal(loaded.images[..., 0], drawn)


def test_three_data_sets_share_one_folder_by_subfolders(server):
    for name in mnist_family.NAMES:
        assert data.load(name, data_dir=server.folder).name == name


def test_one_split_needs_only_its_own_two_files(server, tmp_path):
    folder = copy(server.folder / "fashion_mnist", tmp_path / "given", TEST)
    assert data.load("auto", "test", data_dir=folder).name == "fashion_mnist"
    fails(f"holds {min(TEST)} but no {TRAIN[0]}", "auto", "train", data_dir=folder)


def test_auto_is_fashion_mnist_where_the_environment_names_its_folder(
    server, monkeypatch
):
    monkeypatch.setenv("GAN_JAX_DATA_DIR", str(server.folder / "fashion_mnist"))
    close(server)
    assert data.load().name == "fashion_mnist"


def test_the_argument_goes_before_the_environment(server, monkeypatch):
    monkeypatch.setenv("GAN_JAX_DATA_DIR", str(server.folder / "mnist"))
    loaded = data.load("auto", data_dir=server.folder / "fashion_mnist")
    assert loaded.name == "fashion_mnist"


def test_a_tilde_is_the_home(server, monkeypatch):
    monkeypatch.setenv("HOME", str(server.folder))
    assert data.load("mnist", data_dir="~/mnist").name == "mnist"


# Slips: errors under every name, 'auto' included.

everywhere = pytest.mark.parametrize("name", ["auto", "fashion_mnist"])


@everywhere
def test_a_folder_that_does_not_exist_is_an_error(server, tmp_path, name, monkeypatch):
    nowhere = tmp_path / "nowhere"
    fails(f"no readable folder {nowhere} (--data_dir)", name, data_dir=nowhere)
    monkeypatch.setenv("GAN_JAX_DATA_DIR", str(nowhere))
    fails(f"no readable folder {nowhere} ($GAN_JAX_DATA_DIR)", name)
    file = server.folder / "mnist" / TRAIN[0]
    fails(f"no readable folder {file}", name, data_dir=file)
    assert not server.requests


@everywhere
def test_a_folder_that_may_not_be_read_is_an_error(server, tmp_path, name, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(published.os, "listdir", refuse)
    fails("cannot be read (Permission denied)", name, data_dir=tmp_path)


@everywhere
def test_another_data_set_in_the_folder_is_refused_by_name(server, name):
    folder = server.folder / "mnist"
    words = (
        f"{TRAIN[0]} in {folder} is MNIST's, not Fashion-MNIST's; use --dataset=mnist"
    )
    fails(words, name, data_dir=folder)


def only_whole_files(server, folder):
    """Nothing half-written is left, and nothing that a later run takes as whole."""
    whole = {path.read_bytes() for path in server.folder.rglob("*.gz")}
    assert not [*folder.rglob("*.tmp.*"), *folder.rglob("incomplete.*")]
    assert all(path.read_bytes() in whole for path in folder.rglob("*.gz"))


def high_label(content):
    labels = np.frombuffer(gzip.decompress(content), np.uint8, offset=8).copy()
    labels[4] = 10
    return gzip.compress(pack(labels))


DAMAGES = {
    "cut_images": (TRAIN[0], lambda content: content[:-100], "is truncated"),
    "cut_labels": (TRAIN[1], lambda content: content[:-10], "is truncated"),
    "high_label": (TRAIN[1], high_label, "holds the label 10 where 0 to 9 belong"),
    "packed_anew": (
        TRAIN[0],
        lambda content: gzip.compress(gzip.decompress(content), mtime=1),
        "is whole, but its checksum differs from the published file's",
    ),
}


@everywhere
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_an_error_that_says_what_to_fetch(
    server, tmp_path, name, damage
):
    file, change, words = DAMAGES[damage]
    folder = copy(server.folder / "fashion_mnist", tmp_path / "given")
    (folder / file).write_bytes(change((folder / file).read_bytes()))
    error = fails(f"{folder / file} {words}", name, data_dir=folder)
    assert str(error).endswith(f"replace it by {address(server, file)}")


def address(server, file):
    return f"http://127.0.0.1:{server.server_port}/fashion_mnist/{file}"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (TRAIN[0], TRAIN[1], f"{TRAIN[0]} holds labels where images belong"),
        (TRAIN[0], TEST[0], f"{TRAIN[0]} holds 7 images of 28 x 28 where 12"),
        (TRAIN[1], TEST[1], f"{TRAIN[1]} holds 7 labels where 12 labels belong"),
    ],
    ids=["images_labels", "train_test_images", "train_test_labels"],
)
def test_swapped_files_are_called_so(server, tmp_path, first, second, words):
    folder = copy(server.folder / "fashion_mnist", tmp_path / "given")
    contents = [(folder / file).read_bytes() for file in (second, first)]
    for file, content in zip((first, second), contents, strict=True):
        (folder / file).write_bytes(content)
    fails(words, "auto", data_dir=folder)


def test_a_folder_in_place_of_a_file_and_a_dangling_link_are_errors(server, tmp_path):
    folder = copy(server.folder / "fashion_mnist", tmp_path / "given", TRAIN[1:])
    (folder / TRAIN[0]).mkdir()
    fails(f"{TRAIN[0]} cannot be read (Is a directory)", data_dir=folder)
    (folder / TRAIN[0]).rmdir()
    (folder / TRAIN[0]).symlink_to(tmp_path / "nowhere")
    fails(f"{TRAIN[0]} cannot be read (No such file", data_dir=folder)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fashion-mnst", "; did you mean 'fashion_mnist'? (auto, fashion_mnist,"),
        ("garment", "; did you mean 'garments'?"),
        ("imagenet22k", "; it is one of: auto, fashion_mnist, mnist, kmnist, garm"),
    ],
)
def test_an_unknown_data_set_is_refused_with_the_nearest_name(name, hint):
    fails(f"unknown data set '{name}'{hint}", name)


def test_an_unknown_split_is_refused_with_the_nearest_name():
    fails("unknown split 'tests'; did you mean 'test'? (train, test)", split="tests")


# By download.


@pytest.mark.parametrize("given", [False, True], ids=["default", "data_dir"])
def test_a_download_is_cached_for_later_runs(server, tmp_path, given):
    folder = tmp_path / ("given" if given else "tfds")
    if given:
        folder.mkdir()
    arguments = {"data_dir": folder if given else None}
    first = data.load("fashion_mnist", **arguments)
    assert first.source == f"downloaded into the TFDS folder {folder}"
    assert len(server.requests) == 5  # the four, and the question beforehand
    close(server)
    second = data.load("auto", **arguments)
    assert second.source == f"TFDS cache {folder}"
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert data.load("auto", "test", **arguments).images.shape == (7, 28, 28, 1)


def test_a_damaged_cache_is_an_error_and_mends_itself_once_deleted(server, tmp_path):
    data.load("auto")
    folder = tmp_path / "tfds" / "downloads" / "fashion_mnist"
    file = max(folder.glob("*.gz"), key=lambda file: file.stat().st_size)
    file.write_bytes(file.read_bytes()[:-50])
    error = fails("is truncated", "auto")
    assert str(error).endswith("delete it and run again to download it")
    file.unlink()
    assert data.load("auto").name == "fashion_mnist"


@pytest.mark.parametrize("mood", ["cut", "missing", "busy", "silent", "closed"])
def test_without_a_download_auto_draws_garments_and_a_named_set_says_three_ways_on(
    server, tmp_path, mood, monkeypatch
):
    if mood == "silent":
        monkeypatch.setattr(published, "_PATIENCE", 0.5)
    server.mood = mood
    if mood == "closed":
        close(server)
    loaded = data.load("auto")
    assert loaded.name == "garments"
    assert loaded.images.shape == (12, 28, 28, 1)
    assert loaded.source == "drawn, seed 0"
    assert loaded.warning.startswith("drawn garments stand in for the real ones")
    assert "--data_dir=FOLDER" in loaded.warning
    assert data.load("auto", "test", garments_size=5).source == "drawn, seed 1"

    server.requests.clear()
    error = fails("Fashion-MNIST is not in", "fashion_mnist")
    for way in ("run again with network", "--data_dir=FOLDER", "--dataset=garments"):
        assert way in str(error)

    only_whole_files(server, tmp_path / "tfds")
    if mood not in ("closed", "silent"):
        server.mood = "whole"
        assert data.load("auto").name == "fashion_mnist"


def test_what_was_downloaded_before_a_break_is_not_downloaded_again(server):
    server.mood = "cut"
    data.load("auto")
    server.mood = "whole"
    server.requests.clear()
    assert data.load("auto").name == "fashion_mnist"
    assert not [path for path in server.requests if "labels" in path]


def test_a_download_leaves_that_of_another_process_alone(server, tmp_path, monkeypatch):
    other = tmp_path / "tfds" / "downloads" / "fashion_mnist" / "incomplete.other"
    answer = Handler.do_GET

    def begin_another_and_answer(self):
        other.mkdir(parents=True, exist_ok=True)
        (other / "half.gz").write_bytes(b"half")
        answer(self)

    monkeypatch.setattr(Handler, "do_GET", begin_another_and_answer)
    assert data.load("auto").name == "fashion_mnist"
    assert (other / "half.gz").read_bytes() == b"half"


@everywhere
def test_a_download_with_another_checksum_is_an_error(server, tmp_path, name):
    server.mood = "other"
    error = fails(f"what {address(server, TRAIN[0])} sent is not the published", name)
    assert "--data_dir=FOLDER" in str(error)
    only_whole_files(server, tmp_path / "tfds")
    server.mood = "whole"
    assert data.load(name).name == "fashion_mnist"


def test_a_folder_that_cannot_be_written_is_no_place_to_download_to(server, tmp_path):
    (tmp_path / "tfds").write_text("a file in place of the folder")
    assert data.load("auto").name == "garments"
    fails("cannot be downloaded ([Errno", "fashion_mnist")


def test_a_name_server_that_never_answers_costs_seconds(server, monkeypatch):
    def hang(*_, **__):
        server.released.wait()
        raise socket.gaierror("no name server")

    monkeypatch.setattr(published, "_PATIENCE", 0.5)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert data.load("auto").name == "garments"
    assert not server.released.is_set()  # it has still not answered


# Data sets of one archive.


@pytest.mark.parametrize("name", archives.ARCHIVES)
@pytest.mark.parametrize("split", SIZES)
@pytest.mark.parametrize("way", ["folder", "download"])
def test_an_archive_is_read_from_a_folder_or_downloaded(
    server, tmp_path, name, split, way
):
    where = server.folder / name if way == "folder" else None
    found = data.load(name, split, data_dir=where)
    images, labels, names = archives.contents(name, split)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int32)
    assert found.class_names[: len(names)] == names
    about = data.about(name)
    assert (found.shape, found.name) == (about.shape, name)
    few = data.load(name, split, data_dir=where, num_examples=2)
    np.testing.assert_array_equal(few.images, images[:2])
    np.testing.assert_array_equal(few.labels, labels[:2])
    too_many = len(images) + 1
    with pytest.raises(UserError, match=f"{too_many} is more than {name} has"):
        data.load(name, split, data_dir=where, num_examples=too_many)


def test_a_damaged_archive_is_refused_before_it_is_unpacked(server, tmp_path):
    [file] = archives.ARCHIVES["cifar10"][:1]
    folder = copy(server.folder / "cifar10", tmp_path / "given", [file])
    (folder / file).write_bytes((folder / file).read_bytes()[:-1])
    words = f"{folder / file} is whole, but its checksum differs"
    fails(words, "cifar10", data_dir=folder)


def test_an_archive_that_cannot_be_downloaded_says_where_to_get_it(server):
    close(server)
    error = fails("CIFAR-10 is not in", "cifar10")
    assert "/cifar10/cifar-10-binary.tar.gz elsewhere and pass --data_dir" in str(error)


# Stacked images.


def test_stacked_images_are_triples_whose_class_is_that_of_their_channels(server):
    where = {"data_dir": server.folder / "mnist"}
    stacked = data.load("stacked_mnist", num_examples=50, **where)
    gray = data.load("mnist", **where)
    assert stacked.name == "stacked_mnist"
    assert stacked.images.shape == (50, 28, 28, 3)
    assert stacked.num_classes == len(set(stacked.class_names)) == 1000
    assert stacked.class_names[372] == "3/7/2"
    class_of = {
        image.tobytes(): label
        for image, label in zip(gray.images, gray.labels, strict=True)
    }
    for image, label in zip(stacked.images, stacked.labels, strict=True):
        digits = [class_of[image[..., i].tobytes()] for i in range(3)]
        assert label == digits[0] * 100 + digits[1] * 10 + digits[2]
    again = data.load("stacked_mnist", num_examples=50, **where)
    np.testing.assert_array_equal(stacked.images, again.images)
    test = data.load("stacked_mnist", "test", **where)
    assert len(test.images) == SIZES["test"]
    assert len(data.load("stacked_garments", garments_size=9).images) == 9


# The drawn garments, the real checksums and files.


def test_garments_are_drawn_without_a_look_at_any_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(garments, "make", draw)
    loaded = data.load("garments", data_dir=tmp_path / "nowhere", garments_size=20)
    assert loaded.name == "garments"
    assert loaded.images.shape == (20, 28, 28, 1)
    assert loaded.images.dtype == np.uint8
    assert loaded.labels.shape == (20,)
    assert loaded.labels.dtype == np.int32
    assert loaded.class_names == mnist_family.CLASS_NAMES["fashion_mnist"]
    assert loaded.source == "drawn, seed 0"
    assert loaded.warning is None


@pytest.mark.parametrize("name", mnist_family.NAMES)
def test_tfds_knows_the_four_files(name):
    files = published.published_files(name)
    assert set(files) == {*TRAIN, *TEST}
    for url, info in files.values():
        assert url.startswith("http")
        assert len(info.checksum) == 64


def test_tensorflow_is_never_imported(tmp_path):
    # A tensorflow that fails on import stands for an installed one.
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow imported')")
    code = (
        "import sys\n"
        "from gan_jax import data\n"
        "try:\n"
        "    data.load('mnist', data_dir=sys.argv[1])\n"
        "except data.published.Unavailable as error:\n"
        "    assert 'tensorflow' not in sys.modules\n"
        "    print('done')\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(pathlib.Path(__file__).parents[2])])
    # The proxy leads nowhere, so that nothing is downloaded where there is a network.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **nowhere, "PYTHONPATH": paths, "no_proxy": ""}
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.stdout == "done\n", result.stderr


def holds_the_real_files():
    folder = os.environ.get("GAN_JAX_DATA_DIR", "")
    return all(os.path.isfile(os.path.join(folder, file)) for file in TRAIN + TEST)


@pytest.mark.skipif(
    not holds_the_real_files(), reason="$GAN_JAX_DATA_DIR holds no Fashion-MNIST"
)
@pytest.mark.parametrize(("split", "size"), [("train", 60_000), ("test", 10_000)])
def test_the_real_files_load(split, size):
    loaded = data.load("fashion_mnist", split)
    assert loaded.images.shape == (size, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(loaded.labels), [size // 10] * 10)
    if split == "train":
        assert loaded.class_names[loaded.labels[0]] == "Ankle boot"
        # The mean that the literature normalises Fashion-MNIST by.
        assert loaded.images.mean() / 255 == pytest.approx(0.2860, abs=1e-4)


def test_the_first_examples_alone_are_the_beginning_of_all(monkeypatch):
    monkeypatch.setattr(garments, "_CHUNK", 60)  # it draws as many of each class
    few = data.load("garments", num_examples=20)
    more = data.load("garments", garments_size=50)
    np.testing.assert_array_equal(few.images, more.images[:20])
    np.testing.assert_array_equal(few.labels, more.labels[:20])


@pytest.mark.skipif(
    not os.environ.get("GAN_JAX_DATA_DIR"), reason="$GAN_JAX_DATA_DIR names no data set"
)
def test_the_first_examples_of_a_real_data_set_are_the_beginning_of_all():
    few = data.load("fashion_mnist", num_examples=20)
    assert few.images.shape == (20, 28, 28, 1)
    np.testing.assert_array_equal(few.images, data.load("fashion_mnist").images[:20])
