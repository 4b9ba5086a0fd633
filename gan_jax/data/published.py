"""Published files: found in a folder, in TFDS's cache, or downloaded.

tensorflow-datasets knows where the files of a data set are, downloads, checks and
caches them, all of it without TensorFlow. Its builders would need TensorFlow to unpack
them, so that part is ours.
"""

import hashlib
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gan_jax.errors import UserError
from gan_jax.system.paths import expand

TITLES = {
    "fashion_mnist": "Fashion-MNIST",
    "mnist": "MNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "emnist": "EMNIST",
}
_PATIENCE = 6.0  # seconds for the host to answer, name look-up included


class Unavailable(UserError):
    """The data set is not on this machine and cannot be downloaded."""


class Found(NamedTuple):
    """Files of a data set on this machine.

    Attributes:
      paths: of each file that was asked for, by its published name.
      source: a phrase that says where they are.
      remedies: what to do about each where it is damaged.
    """

    paths: dict[str, Path]
    source: str
    remedies: dict[str, str]


def find(
    name: str, needed: Sequence[str], data_dir: str | os.PathLike | None = None
) -> Found:
    """Finds files of a data set, downloading it where they are not on this machine.

    Args:
      name: of `TITLES`.
      needed: the published names of the files.
      data_dir: a folder that holds the published files, itself or in a folder called
        `name`, or else the TFDS folder to cache them in. By default
        $GAN_JAX_DATA_DIR, then TFDS's own.

    Returns:
      Where they are. Their contents are not checked: `require_published` does so.

    Raises:
      Unavailable: they are nowhere and cannot be downloaded.
      UserError: there is no such folder, or it holds some of the files alone.
    """
    published = published_files(name)
    root = _data_folder(data_dir)
    if found := _in_folder(root, name, needed, published):
        paths, source = found
        remedies = {file: f"replace it by {published[file][0]}" for file in needed}
        return Found(paths, source, remedies)
    paths, source = _in_cache(root, name, needed, published), f"TFDS cache {root}"
    if not paths:
        _download(name, root, published)
        paths = _in_cache(root, name, needed, published)
        source = f"downloaded into the TFDS folder {root}"
    remedies = dict.fromkeys(needed, "delete it and run again to download it")
    return Found(paths, source, remedies)


def require_published(
    name: str, file: str, found: Found, checksum: str | None = None
) -> None:
    """Refuses a file of another content than the published one's.

    Args:
      name: of the data set.
      file: its published name.
      found: where it is.
      checksum: its SHA-256 where that is known already, hexadecimal.

    Raises:
      UserError: it is another one; whose, where that is known. Or it cannot be read.
    """
    path, remedy = found.paths[file], found.remedies[file]
    if checksum is None:
        try:
            with open(path, "rb") as opened:
                checksum = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise UserError(
                f"{path} cannot be read ({error.strerror or error}); make it a readable"
                f" file, or {remedy}"
            ) from error
    if checksum == published_files(name)[file][1].checksum:
        return
    for other, title in TITLES.items():
        for _, info in published_files(other).values():
            if other != name and info.checksum == checksum:
                raise UserError(
                    f"{path.name} in {path.parent} is {title}'s, not {TITLES[name]}'s; "
                    f"use --dataset={other}, or {remedy}"
                )
    raise UserError(
        f"{path} is whole, but its checksum differs from the published file's; {remedy}"
    )


def published_files(name: str) -> dict[str, tuple[str, Any]]:
    """File name -> its URL and TFDS's `UrlInfo` (size, checksum), as TFDS has them."""
    # Imported late, here and below: 0.35 s, and the drawn data sets do without.
    import tensorflow_datasets as tfds

    infos = tfds.builder_cls(name).url_infos
    return {info.filename: (url, info) for url, info in infos.items()}


def _data_folder(data_dir: str | os.PathLike | None) -> Path:
    """Returns the folder to look in; one that the user named has to exist."""
    named = data_dir or os.environ.get("GAN_JAX_DATA_DIR")
    if not named:
        return expand(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    root = expand(named)
    if not os.path.isdir(root):
        origin = "--data_dir" if data_dir else "$GAN_JAX_DATA_DIR"
        raise UserError(
            f"there is no readable folder {root} ({origin}); name the one that holds "
            "the published files, or an existing one to download them into"
        )
    return root


def _names_in(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}); make it a readable folder, "
            "or pass another --data_dir"
        ) from error


def _in_folder(
    root: Path, name: str, needed: Sequence[str], published: Mapping[str, Any]
) -> tuple[dict[str, Path], str] | None:
    """Returns the files of root/name or of root, where either holds any, and a phrase.

    The folder called `name` comes first: the MNIST family shares its file names, so
    that root may be another one's.
    """
    for folder in (root / name, root):
        present = _names_in(folder) & set(published)
        for file in needed:
            if present and file not in present:
                raise UserError(
                    f"{folder} holds {min(present)} but no {file}; copy "
                    f"{published[file][0]} there"
                )
        if present:
            return {file: folder / file for file in needed}, f"read from {folder}"
    return None


def _in_cache(
    root: Path, name: str, needed: Sequence[str], published: Mapping[str, Any]
) -> dict[str, Path] | None:
    """Returns the files in TFDS's download cache if they are all there."""
    from tensorflow_datasets.core.download import resource

    files = {}
    for file in needed:
        url, info = published[file]
        cached = resource.get_dl_fname(url, info.checksum)
        # Older releases of TFDS did without the folder of the data set.
        places = (root / "downloads" / name / cached, root / "downloads" / cached)
        files[file] = next(filter(os.path.lexists, places), None)
    return files if all(files.values()) else None


def _download(name: str, root: Path, published: Mapping[str, Any]) -> None:
    """Has TFDS download the files that its cache, root/downloads, lacks.

    Each process downloads into a folder of its own and moves whole files: runs that
    start together do not meet, and what breaks off is gone.

    Raises:
      Unavailable: the host does not answer, the download breaks off, or the folder
        cannot be written.
      UserError: what came is not the published file.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import download_manager, downloader

    # The smallest first: what fails for one file fails for all.
    missing = [
        file for file in published if not _in_cache(root, name, [file], published)
    ]
    urls = sorted((published[file] for file in missing), key=lambda file: file[1].size)
    if not urls:
        return  # another run has just brought them
    if fault := _host_fault(urls[0][0]):
        raise _unavailable(name, root, published, fault)
    downloader.MAX_RETRIES = 2  # TFDS's own 10 go on for 205 s
    cache = root / "downloads" / name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix="incomplete.", dir=cache, ignore_cleanup_errors=True
        ) as folder:
            manager = tfds.download.DownloadManager(
                download_dir=folder,
                dataset_name=name,
                url_infos=dict(published.values()),
                force_checksums_validation=True,
            )
            # One at a time: TFDS's threads outlive a failure, and the process would
            # wait for the other downloads at its end.
            for url, _ in urls:
                manager.download(url)
                for file in Path(folder, name).iterdir():  # and TFDS's note on it
                    file.replace(cache / file.name)
    except download_manager.NonMatchingChecksumError as error:
        raise UserError(
            f"what {url} sent is not the published file (its checksum differs; does "
            "the network ask for a login?); run again on another network, or "
            f"{_ways_without_network(published)}"
        ) from error
    except (OSError, tfds.download.DownloadError) as error:
        raise _unavailable(name, root, published, _one_line(error)) from error


def _host_fault(url: str) -> str | None:
    """Says why the host of `url` does not deliver it, within a few seconds.

    The request goes the way of TFDS's own (the same proxies and certificates). It has
    a thread because no time limit of a socket holds for the look-up of a name.
    """
    import requests

    host = urlsplit(url).hostname
    fault: str | None = f"no answer from {host} in {_PATIENCE:g} s"

    def ask() -> None:
        nonlocal fault
        try:
            with requests.get(url, stream=True, timeout=_PATIENCE / 2) as response:
                status = response.status_code
            fault = None if status == 200 else f"{host} answers with HTTP {status}"
        except OSError as error:  # the base class of what requests raises
            fault = f"no connection to {host}: {type(error).__name__}"

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return fault


def _unavailable(
    name: str, root: Path, published: Mapping[str, Any], why: str
) -> Unavailable:
    return Unavailable(
        f"{TITLES[name]} is not in {root} and cannot be downloaded ({why}); run again "
        f"with network, or {_ways_without_network(published)}"
    )


def _ways_without_network(published: Mapping[str, Any]) -> str:
    site = next(iter(published.values()))[0].rpartition("/")[0]
    files = f"{site}/{next(iter(published))}"
    if len(published) > 1:  # curl understands the braces
        files = (
            f"the four files {site}/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte.gz"
        )
    return (
        f"download {files} elsewhere and pass --data_dir=FOLDER, or use the drawn"
        " garments: --dataset=garments"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
