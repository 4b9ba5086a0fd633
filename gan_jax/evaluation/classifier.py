"""The classifier whose features samples are measured in, trained by the project itself.

A small convolutional network, trained once on the training split of a data set and
kept in the user's cache folder. A distance in its features depends on its weights, so
every evaluation records their hash: numbers compare only where the hashes agree. The
one of Fashion-MNIST comes with the package, so that everybody measures with the same.
"""

import dataclasses
import hashlib
import json
import pathlib
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from gan_jax import backend
from gan_jax.data import Dataset
from gan_jax.errors import UserError
from gan_jax.evaluation.batches import in_batches
from gan_jax.networks.layers import Conv
from gan_jax.system import progress
from gan_jax.system.files import cache_folder, keyed_name, read_npz, whole_file
from gan_jax.training import scale_images

Array = jax.Array

_VERSION = 1  # of the architecture and its training: another one is another classifier
_EPOCHS = 9  # of Fashion-MNIST: 4,212 steps
_LEAST_STEPS = 200  # of smaller data sets, in more epochs: many more overfit them
_BATCH = 128
_PEAK_LR = 3e-3
_WEIGHT_DECAY = 1e-3
_SHIPPED = pathlib.Path(__file__).with_name("classifiers")  # as the cache has them
_CHUNK = 100  # steps between two movements of the progress bar


class Network(nn.Module):
    """Two convolutions with max pooling, a layer of features, a logit a class.

    206,922 parameters for 28 x 28 gray images of ten classes.
    """

    num_features: int = 128
    num_classes: int = 10

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Pixels in [-1, 1], ``[batch, height, width, channels]``: features, logits."""
        init = nn.initializers.he_normal()
        for width in (16, 32):
            x = nn.relu(Conv(width, 3, padding=1, kernel_init=init)(x))
            batch, height, side, channels = x.shape
            if min(height, side) > 1:
                x = x[:, : height // 2 * 2, : side // 2 * 2]
                x = x.reshape(batch, height // 2, 2, side // 2, 2, channels).max((2, 4))
        x = x.reshape(x.shape[0], -1)
        features = nn.relu(nn.Dense(self.num_features, kernel_init=init)(x))
        return features, nn.Dense(self.num_classes)(features)


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained network and what there is to know about it.

    Attributes:
      params: of `Network`.
      dataset: name of the data set that it was trained on.
      accuracy: share of the test split that it classifies correctly.
      sha256: of its weights, hexadecimal.
    """

    params: Any
    dataset: str
    accuracy: float
    sha256: str

    @property
    def num_classes(self) -> int:
        """How many classes it knows."""
        return network_of(self.params).num_classes

    def describe(self) -> dict[str, Any]:
        """What an evaluation records of it."""
        return {
            "dataset": self.dataset,
            "accuracy": self.accuracy,
            "sha256": self.sha256,
        }


def network_of(params: Any) -> Network:
    """The network of as many classes as its params have."""
    return Network(num_classes=len(params["Dense_1"]["bias"]))


@jax.jit
def _apply(params: Any, images: Array) -> tuple[Array, Array]:
    network = network_of(params)
    with backend.products("highest"):  # on every device the same, to rounding
        features, logits = network.apply({"params": params}, scale_images(images))
    return features, jnp.argmax(logits, axis=-1)


def classify(classifier: Classifier, images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Features and predicted classes of images.

    Args:
      classifier: a trained one.
      images: uint8, ``[N, height, width, channels]``.

    Returns:
      Features, float64 ``[N, 128]``, and classes, int32 ``[N]``.
    """
    return _classify(classifier.params, images)


def _classify(params: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, classes = in_batches(partial(_apply, params), images)
    return features.astype(np.float64), classes.astype(np.int32)


def enough_epochs(num_examples: int) -> int:
    """Passes over so many training images: those of Fashion-MNIST, more of fewer."""
    per_epoch = max(num_examples // _BATCH, 1)
    return max(_EPOCHS, -(-_LEAST_STEPS // per_epoch))


def train(dataset: Dataset, *, seed: int = 0, epochs: int = _EPOCHS) -> Any:
    """Trains a network: AdamW with a cosine schedule, cross-entropy.

    Args:
      dataset: training split.
      seed: of the initial weights and of the order of the images.
      epochs: passes over the data.

    Returns:
      Its params.
    """
    images, labels = jnp.asarray(dataset.images), jnp.asarray(dataset.labels)
    network = Network(num_classes=dataset.num_classes)
    batch = min(_BATCH, len(images))
    per_epoch = len(images) // batch
    schedule = optax.cosine_decay_schedule(_PEAK_LR, epochs * per_epoch)
    optimiser = optax.adamw(schedule, weight_decay=_WEIGHT_DECAY)
    init_key, order_key = jax.random.split(jax.random.key(seed))

    def loss(params: Any, index: Array) -> Array:
        _, logits = network.apply({"params": params}, scale_images(images[index]))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[index])
        return jnp.mean(losses)

    def step(order: Array, i: Array, carry: Any) -> Any:
        params, state = carry
        index = jax.lax.dynamic_slice_in_dim(order, i * batch, batch)
        with backend.products("highest"):
            gradients = jax.grad(loss)(params, index)
        updates, state = optimiser.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    @jax.jit
    def begin() -> Any:
        params = network.init(init_key, jnp.zeros((1, *dataset.shape)))["params"]
        return params, optimiser.init(params)

    @jax.jit
    def steps(carry: Any, number: int, first: int, last: int) -> Any:
        key = jax.random.fold_in(order_key, number)
        order = jax.random.permutation(key, len(images))
        return jax.lax.fori_loop(first, last, partial(step, order), carry)

    carry = begin()
    with progress.bar(
        "training it", epochs * per_epoch, unit="step", lines=True
    ) as bar:
        for number in range(epochs):
            for first in range(0, per_epoch, _CHUNK):
                last = min(first + _CHUNK, per_epoch)
                carry = jax.block_until_ready(steps(carry, number, first, last))
                bar.update(last - first)
    return carry[0]


def load_or_train(
    training_split: Dataset,
    test_split: Dataset,
    *,
    seed: int = 0,
    epochs: int = _EPOCHS,
    folder: pathlib.Path | None = None,
    say: Callable[[str], None] = print,
) -> Classifier:
    """The classifier of a data set: shipped, from the cache, or trained and put there.

    Args:
      training_split: what it is trained on.
      test_split: what its accuracy is measured on.
      seed: of its training.
      epochs: of its training.
      folder: where it is kept; by default ``classifiers`` in the user's cache folder.
      say: takes a line when it is trained, or when the cache is damaged.

    Returns:
      The classifier.
    """
    about = {
        "version": _VERSION,
        "dataset": training_split.name,
        "data": _data_hash(training_split, test_split),
        "seed": seed,
        "epochs": epochs,
    }
    folder = folder or cache_folder() / "classifiers"
    name = f"{keyed_name(training_split.name, about)}.npz"
    path = folder / name
    for kept in filter(pathlib.Path.exists, (_SHIPPED / name, path)):
        try:
            return _read(kept, about)
        except _Damaged as error:
            say(f"the cached classifier {kept} is damaged ({error}): training another")
    _require_writable(folder)
    say(
        f"training the classifier of {training_split.name} that samples are measured"
        " with (once; a minute or two)"
    )
    params = jax.tree.map(np.asarray, train(training_split, seed=seed, epochs=epochs))
    predicted = _classify(params, test_split.images)[1]
    accuracy = float(np.mean(predicted == test_split.labels))
    classifier = Classifier(params, training_split.name, accuracy, weights_hash(params))
    _write(path, classifier, about)
    say(f"its test accuracy is {accuracy:.2%}; kept in {path}")
    return classifier


def _require_writable(folder: pathlib.Path) -> None:
    """Minutes of training should not end in a folder that cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"cannot write to the cache {folder} ({error.strerror}): name another with"
            " $GAN_JAX_CACHE_DIR"
        ) from error


class _Damaged(ValueError):
    """A cached classifier cannot be used."""


def _flat(params: Any) -> dict[str, np.ndarray]:
    return flax.traverse_util.flatten_dict(params, sep="/")


def weights_hash(params: Any) -> str:
    """SHA-256 of a network's weights, hexadecimal."""
    digest = hashlib.sha256()
    for name, array in sorted(_flat(params).items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _data_hash(*splits: Dataset) -> str:
    digest = hashlib.sha256()
    for split in splits:
        digest.update(np.ascontiguousarray(split.images))
        digest.update(np.ascontiguousarray(split.labels))
    return digest.hexdigest()


def _write(path: pathlib.Path, classifier: Classifier, about: dict[str, Any]) -> None:
    meta = json.dumps(about | classifier.describe())
    with whole_file(path) as file:
        np.savez(file, meta=np.array(meta), **_flat(classifier.params))


def _read(path: pathlib.Path, about: dict[str, Any]) -> Classifier:
    try:
        arrays = read_npz(path)
        meta = json.loads(str(arrays.pop("meta")))
        recorded = {name: meta.pop(name) for name in about if name != "dataset"}
        params = flax.traverse_util.unflatten_dict(arrays, sep="/")
        classifier = Classifier(params, **meta)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Damaged(" ".join(str(error).split())[-100:]) from error
    if recorded | {"dataset": classifier.dataset} != about:
        raise _Damaged("it is of another data set")
    if weights_hash(params) != classifier.sha256:
        raise _Damaged("its weights differ from their recorded hash")
    return classifier
