import gzip
import hashlib
import struct

import numpy as np
import pytest

from gan_jax.data import idx
from gan_jax.errors import UserError

IMAGES = np.arange(5 * 28 * 28, dtype=np.uint32).reshape(5, 28, 28).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


def pack(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


PACKED = pack(IMAGES)
FILE = gzip.compress(PACKED)


@pytest.mark.parametrize("array", [IMAGES, LABELS], ids=["images", "labels"])
def test_a_written_array_is_read_back_with_the_checksum_of_its_file(tmp_path, array):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(pack(array)))
    read, checksum = idx.read(path, array.shape)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.uint8
    assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()


def test_incompressible_and_uncompressed_files_fit_under_the_read_limit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (2000, 28, 28), np.uint8)
    for level in (0, 9):
        path = tmp_path / f"level{level}.gz"
        path.write_bytes(gzip.compress(pack(noise), level))
        np.testing.assert_array_equal(idx.read(path, noise.shape)[0], noise)


FAULTS = {
    "empty": (b"", "is truncated: it unpacks to 0 of 3936 bytes"),
    "gzip_of_nothing": (gzip.compress(b""), "is truncated: it unpacks to 0"),
    "a_web_page": (b"<html>please log in</html>", "is not gzip"),
    "unzipped": (PACKED, "is not gzip"),
    "cut_in_the_gzip_header": (FILE[:5], "is truncated"),
    "cut_in_the_middle": (FILE[: len(FILE) // 2], "is truncated"),
    "cut_before_the_checksum": (FILE[:-8], "is truncated: its gzip trailer is missing"),
    "flipped_checksum": (FILE[:-8] + bytes(8), "is damaged"),
    "whole_gzip_of_a_cut_file": (gzip.compress(PACKED[:-7]), "3929 of 3936 bytes"),
    "whole_gzip_of_a_cut_header": (gzip.compress(PACKED[:9]), "is truncated"),
    "bytes_inside_after_the_end": (gzip.compress(PACKED + b"x"), "bytes after its end"),
    "bytes_outside_after_the_end": (FILE + b"x", "bytes after its end"),
    "two_files_in_one": (FILE + FILE, "bytes after its end"),
    "another_format": (gzip.compress(b"PK\3\4" * 9), "not an IDX file of bytes (it st"),
    "floats": (gzip.compress(b"\0\0\x0d\3" + PACKED[4:]), "not an IDX file of bytes"),
    "labels": (gzip.compress(pack(LABELS)), "holds labels where images belong"),
    "a_matrix": (gzip.compress(pack(IMAGES[0])), "holds an array of rank 2 where"),
    "too_few": (gzip.compress(pack(IMAGES[:3])), "holds 3 images of 28 x 28 where 5"),
    "another_size": (gzip.compress(pack(IMAGES[:, :, :20])), "5 images of 28 x 20 whe"),
    "huge_claim": (
        gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 28, 28)),
        "holds 4294967295 images",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_file_is_refused_in_one_line_by_its_name_and_fault(tmp_path, fault):
    content, words = FAULTS[fault]
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        idx.read(path, IMAGES.shape, "do this")
    message = str(caught.value)
    assert message.startswith(f"{path} ")
    assert words in message
    assert message.endswith("; do this")
    assert "\n" not in message


@pytest.mark.parametrize("position", range(10, len(FILE), len(FILE) // 40))
def test_no_flipped_bit_passes_unseen(tmp_path, position):
    damaged = bytearray(FILE)
    damaged[position] ^= 0x10
    path = tmp_path / "images.gz"
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"images\.gz"):
        idx.read(path, IMAGES.shape)


def test_images_where_labels_belong_are_called_so(tmp_path):
    path = tmp_path / "labels.gz"
    path.write_bytes(FILE)
    with pytest.raises(UserError, match="holds images where labels belong"):
        idx.read(path, (5,))


def test_a_decompression_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(PACKED + bytes(50_000_000)))
    lengths = []
    fault = idx._fault

    def spy(content, *rest):
        lengths.append(len(content))
        return fault(content, *rest)

    monkeypatch.setattr(idx, "_fault", spy)
    with pytest.raises(UserError, match="bytes after its end"):
        idx.read(path, IMAGES.shape)
    assert lengths == [len(PACKED) + 1]


def test_a_file_without_end_is_not_read_to_its_end():
    with pytest.raises(UserError, match="/dev/zero is not gzip"):
        idx.read("/dev/zero", IMAGES.shape)


def test_a_missing_file_and_a_folder_in_its_place_are_one_line_each(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        idx.read(tmp_path / "nowhere.gz", (5,))
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory"):
        idx.read(tmp_path, (5,))


def test_a_file_that_may_not_be_read_is_one_line(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # root may read everything
    with pytest.raises(UserError, match=r"\(Permission denied\); make it a readable"):
        idx.read(tmp_path / "labels.gz", (5,))
