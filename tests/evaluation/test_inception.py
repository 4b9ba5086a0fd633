"""Inception's features, with weights drawn at random: the real ones are a download."""

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation import features, frechet, inception, kid
from gan_jax.run import sample_files, sampling


@pytest.fixture(scope="module")
def torch_fidelity():
    pytest.importorskip("torch_fidelity")
    from torch_fidelity import feature_extractor_inceptionv3

    return feature_extractor_inceptionv3


@pytest.fixture(scope="module")
def weights(torch_fidelity, tmp_path_factory):
    """A file of weights as torch-fidelity reads it."""
    import torch

    make = torch_fidelity.FeatureExtractorInceptionV3
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_fidelity, "load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(make, "load_state_dict", lambda self, state: None)
        network = make("inception-v3-compat", ["2048"])
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(network.state_dict(), path)
    return path


def images(count, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, channels))
    return np.kron(coarse, np.ones((1, 4, 4, 1), np.int64)).astype(np.uint8)


def test_the_distances_are_those_of_torch_fidelity(weights, tmp_path):
    import torch_fidelity as library

    sets = [images(60, seed=seed) for seed in (0, 1)]
    for i, drawn in enumerate(sets):
        sample_files.write_folder(tmp_path / str(i), sampling.Samples(drawn))
    theirs = library.calculate_metrics(
        input1=str(tmp_path / "0"),
        input2=str(tmp_path / "1"),
        cuda=False,
        fid=True,
        kid=True,
        kid_subset_size=60,
        kid_subsets=1,
        feature_extractor_weights_path=str(weights),
        batch_size=50,
        save_cpu_ram=True,
        verbose=False,
        cache=False,
    )
    measured_in = features.of_inception(weights)
    ours = [measured_in.extract(drawn)[0] for drawn in sets]
    assert ours[0].shape == (60, inception.NUM_FEATURES)
    fid = frechet.frechet_distance(*ours)
    assert fid == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    ours_kid = kid.estimate_kid(*ours)[0]
    scale = max(abs(ours_kid), 1e-6)
    their_kid = theirs["kernel_inception_distance_mean"]
    assert abs(ours_kid - their_kid) < 1e-3 * scale + 1e-7
    assert measured_in.distance == "fid"


def test_gray_images_are_taken_as_three_equal_channels(weights):
    network, _ = inception.load(weights)
    gray = images(5, channels=1)
    np.testing.assert_array_equal(
        inception.extract(network, gray),
        inception.extract(network, np.repeat(gray, 3, axis=-1)),
    )


class Hostile:
    def __reduce__(self):
        return print, ("unpickled",)


def test_a_file_of_something_else_is_refused_and_never_unpickled(
    torch_fidelity, tmp_path, capsys
):
    import torch

    path = tmp_path / "weights.pth"
    with pytest.raises(UserError, match=r"weights .*cannot be read \(No such file"):
        inception.load(path)
    torch.save({"a": Hostile()}, path)
    with pytest.raises(UserError, match="are damaged, or no file of weights alone"):
        inception.load(path)
    assert "unpickled" not in capsys.readouterr().out
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(UserError, match="holds no weights of this network") as caught:
        inception.load(path)
    assert "\n" not in str(caught.value)


def test_without_the_weights_or_a_network_it_says_where_they_are(
    torch_fidelity, monkeypatch, tmp_path
):
    import torch

    def fail(*arguments, **how):
        raise OSError("no host")

    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(UserError, match=r"downloaded \(no host\): fetch http"):
        inception.load()


def test_the_weights_are_downloaded_once_and_checked(
    torch_fidelity, weights, monkeypatch, tmp_path
):
    import shutil

    import torch

    asked = []

    def fetch(url, path, prefix, progress):
        asked.append(prefix)
        shutil.copy(weights, path)

    monkeypatch.setenv("GAN_JAX_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    sums = {inception.load()[1] for _ in range(2)}
    assert asked == ["6726825d"]
    assert sums == {inception.load(weights)[1]}


def test_without_torch_fidelity_it_says_how_to_install_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"pip install 'gan_jax\[fid\]'"):
        inception.load()
