"""Inception's features, in which FID is defined: those of torch-fidelity.

The network and its weights are the ones of Heusel et al. 2017
(https://arxiv.org/abs/1706.08500) as torch-fidelity has ported them
(https://github.com/toshas/torch-fidelity), so that numbers can stand beside papers'.
"""

import hashlib
import os
import pathlib
from typing import Any

import numpy as np

from gan_jax.errors import UserError
from gan_jax.evaluation.batches import in_batches
from gan_jax.system import files, progress
from gan_jax.system.files import cache_folder
from gan_jax.system.paths import expand

NUM_FEATURES = 2048
_BATCH = 50


def load(weights: str | os.PathLike | None = None) -> tuple[Any, str]:
    """The network, with its weights.

    Args:
      weights: torch-fidelity's file of them; by default it is downloaded once, into
        the user's cache folder. Tensors alone are read of it: nothing is unpickled.

    Returns:
      The network, and the SHA-256 of its weights, hexadecimal.

    Raises:
      UserError: torch-fidelity is not installed; the weights cannot be downloaded or
        read, or are of another network.
    """
    try:
        import torch
        from torch_fidelity import feature_extractor_inceptionv3 as ported
    except (ImportError, RuntimeError) as error:  # torchvision's, of another PyTorch
        raise UserError(
            f"Inception's features need torch-fidelity ({error}): pip install"
            " 'gan_jax[fid]', or use --features=classifier or random"
        ) from error
    path = _download(ported.URL_INCEPTION_V3) if weights is None else expand(weights)
    _require_weights(path)
    try:
        make = ported.FeatureExtractorInceptionV3
        network = make("inception-v3-compat", ["2048"], str(path))
    except (RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise UserError(
            f"{path} holds no weights of this network"
            f" ({' '.join(str(error).split())[:100]}...): fetch"
            f" {ported.URL_INCEPTION_V3}"
        ) from error
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    digest = hashlib.sha256()
    for name, array in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array.cpu().numpy()))
    return network, digest.hexdigest()


def _download(url: str) -> pathlib.Path:
    """The published weights in the user's cache, fetched once; their name is a sum."""
    import torch

    path = cache_folder() / "inception" / url.rpartition("/")[2]
    if path.exists():
        return path
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    prefix = path.stem.rpartition("-")[2]
    try:
        torch.hub.download_url_to_file(url, str(path), prefix, progress=False)
    except (OSError, RuntimeError) as error:  # of the network, and of the sum
        raise UserError(
            f"Inception's weights cannot be downloaded ({error}): fetch {url} elsewhere"
            " and name the file with --inception_weights"
        ) from error
    return path


def _require_weights(path: pathlib.Path) -> None:
    """Refuses what is no file of tensors alone: nothing else in it is unpickled."""
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(
            f"Inception's weights {path} cannot be read ({error.strerror or error})"
        ) from error
    except Exception as error:  # pickle's and PyTorch's own
        raise UserError(
            f"Inception's weights {path} are damaged, or no file of weights alone"
            f" ({' '.join(str(error).split())[:100]}...): delete it, or name another"
            " with --inception_weights"
        ) from error


def extract(network: Any, images: np.ndarray) -> np.ndarray:
    """Features of images.

    Args:
      network: of `load`.
      images: uint8, ``[N, height, width, 1 or 3]``; gray ones are taken as three equal
        channels. They are resized to 299 x 299 as TensorFlow 1 did.

    Returns:
      float64, ``[N, 2048]``.
    """
    import torch

    device = next(network.buffers()).device

    def apply(batch: np.ndarray) -> list[np.ndarray]:
        batch = np.repeat(batch, 3 // batch.shape[-1], axis=-1).transpose(0, 3, 1, 2)
        with torch.no_grad():
            [features] = network(torch.from_numpy(batch.copy()).to(device))
        bar.update(_BATCH)
        return [features.cpu().numpy()]

    with progress.bar("Inception's features", len(images), unit="image") as bar:
        [features] = in_batches(apply, images, _BATCH)
    return features.astype(np.float64)
