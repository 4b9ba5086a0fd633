"""Small archives under the names and in the form of the published ones."""

import gzip
import io
import tarfile
import zipfile

import numpy as np

from tests.data.test_idx import pack

NAMES = {"cifar10": ("airplane", "automobile"), "cifar100": ("apple", "aquarium_fish")}
SIZES = {"train": 15, "test": 4}


def drawn(name, split):
    """Images of a made-up split and their labels, as `contents` gives them."""
    rng = np.random.default_rng([len(name), len(split)])
    shape = (28, 28, 1) if name == "emnist" else (32, 32, 3)
    images = rng.integers(0, 256, (SIZES[split], *shape), np.uint8)
    return images, rng.integers(0, 2, SIZES[split], np.uint8)


def contents(name, split):
    """What is to be read: images, labels, and the first names of classes."""
    images, labels = drawn(name, split)
    return images, labels.astype(np.int32), NAMES.get(name, ("0", "1"))


def write_cifar10(path):
    files = {"batches.meta.txt": "\n".join(NAMES["cifar10"]).encode()}
    files["readme.html"] = b"<html>"
    for split, names in (("test", ["test_batch"]), ("train", range(1, 6))):
        images, labels = drawn("cifar10", split)
        records = np.concatenate([labels[:, None], channels_first(images)], axis=1)
        parts = np.split(records, len(names))
        for name, part in reversed(list(zip(names, parts, strict=True))):
            title = name if split == "test" else f"data_batch_{name}"
            files[f"{title}.bin"] = part.tobytes()
    write_tar(path, "cifar-10-batches-bin", files)


def write_cifar100(path):
    files = {"fine_label_names.txt": "\n".join(NAMES["cifar100"]).encode()}
    files["coarse_label_names.txt"] = b"fish\nfruit"
    for split in SIZES:
        images, labels = drawn("cifar100", split)
        coarse = np.full((len(labels), 1), 7, np.uint8)
        columns = (coarse, labels[:, None], channels_first(images))
        files[f"{split}.bin"] = np.concatenate(columns, axis=1).tobytes()
    write_tar(path, "cifar-100-binary", files)


def write_emnist(path):
    with zipfile.ZipFile(path, "w") as archive:
        for split in SIZES:
            images, labels = drawn("emnist", split)
            for kind, array in (
                ("images-idx3", images[..., 0].swapaxes(1, 2)),
                ("labels-idx1", labels),
            ):
                packed = gzip.compress(pack(array), mtime=0)
                archive.writestr(
                    f"gzip/emnist-balanced-{split}-{kind}-ubyte.gz", packed
                )


def channels_first(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_tar(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


ARCHIVES = {
    "cifar10": ("cifar-10-binary.tar.gz", write_cifar10),
    "cifar100": ("cifar-100-binary.tar.gz", write_cifar100),
    "emnist": ("gzip.zip", write_emnist),
}
