"""Exported generators are the run's, whoever reads them, and say what they are."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest

import gan_jax
from gan_jax import export, own_code, recipes, training
from gan_jax.errors import UserError
from gan_jax.export import arrays, files, programs
from gan_jax.run import sampling
from tests.explore.making import config_of, make_run

NEEDS = {"onnx": ("jax2onnx", "onnxruntime"), "safetensors": ("safetensors",)}


def forms(names):
    """Formats; those that need a library are run where CI has it."""
    return [
        pytest.param(name, marks=[pytest.mark.export] * (name in NEEDS))
        for name in names
    ]


KINDS = {
    "unconditional": {},
    "conditional": {"conditional": True, "ema_decay": 0.9},
}


def need(form):
    for library in NEEDS.get(form, ()):
        pytest.importorskip(library, reason=f"./launch.sh setup {form}")


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / request.param
    make_run(folder, config_of(**KINDS[request.param]))
    return folder


@pytest.fixture(scope="module", params=forms(export.FORMATS))
def exported(request, run):
    """A run, a file of its generator, and what was said when it was written."""
    need(request.param)
    output = run.parent / f"{run.name}.{request.param}"
    return run, output, export.write(run, output, request.param)


def test_its_images_are_the_runs(exported):
    run, file, written = exported
    weights = file.suffix[1:] in export.WEIGHTS
    assert written.difference <= (0 if weights else 1)
    assert written.size == file.stat().st_size
    found, wanted = (
        load(where).draw(33, seed=5)
        for load, where in ((gan_jax.load_exported, file), (gan_jax.load, run))
    )
    assert found.images.dtype == np.uint8
    assert found.images.shape == (33, 28, 28, 1)
    far = np.abs(found.images.astype(int) - wanted.images)
    assert far.max() <= (0 if weights else 1)
    assert (far > 0).mean() < 1e-3  # of rounding alone
    np.testing.assert_equal(found.labels, wanted.labels)
    assert (found.labels is None) == (run.name == "unconditional")


def test_a_batch_has_any_size(exported):
    sampler = gan_jax.load_exported(exported[1])
    z = np.random.default_rng(0).normal(size=(7, sampler.latent_size))
    labels = None if sampler.num_classes is None else np.arange(7)
    all_seven = sampler(z, labels)
    last = sampler(z[6:], None if labels is None else labels[6:])
    np.testing.assert_array_less(np.abs(all_seven[6:].astype(int) - last), 2)
    assert all_seven.shape == (7, 28, 28, 1)
    assert all_seven.std() > 0


def test_it_says_what_it_is(exported):
    run, file, written = exported
    said = gan_jax.load_exported(file).about
    assert said == written.about
    assert (said["run"], said["step"], said["seed"]) == (run.name, 20, 0)
    assert (said["latent_size"], said["shape"]) == (8, [28, 28, 1])
    assert said["num_classes"] == (10 if run.name == "conditional" else None)
    assert (said["dataset"], said["licence"]) == ("garments", "Apache-2.0")
    assert said["flags"] == config_of(**KINDS[run.name]).flags()
    kept = run.name == "conditional"
    assert said["weights"] == ("moving averages" if kept else "of the last step")


def test_a_file_that_is_damaged_is_one_line(exported, tmp_path):
    content = exported[1].read_bytes()
    form = exported[1].suffix
    others = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "noise": np.random.default_rng(0).bytes(1000),
        "end": content[:-40],
    }
    for name, damaged in others.items():
        path = tmp_path / (name + form)
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged, or is not of gan_jax") as error:
            gan_jax.load_exported(path).draw(1)
        assert "\n" not in str(error.value), name


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "plain"
    make_run(folder)
    return folder


def test_moving_averages_and_running_statistics_are_exported():
    config = config_of(network="reference", width=8, ema_decay=0.9)
    gan = config.make_gan()
    state = jax.eval_shape(
        lambda: training.init_state(gan, jax.random.key(0), (28, 28, 1))
    )
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), state)
    ones = jax.tree.map(np.ones_like, state.ema)
    found = arrays.flat(state.replace(ema=ones))
    assert all((array == 1).all() for array in found.values())
    assert {"params/Dense_0/kernel", "batch_stats/BatchNorm_0/var"} <= found.keys()
    without = arrays.flat(state.replace(ema=None))
    assert without.keys() == found.keys()
    assert not any(array.any() for array in without.values())


@pytest.mark.parametrize("form", forms(export.PROGRAMS))
def test_a_program_gives_pixels_in_minus_one_to_one(form, plain, tmp_path):
    need(form)
    written = export.write(plain, tmp_path / f"a.{form}", form, "float32")
    assert written.difference <= 1e-4
    sampler = gan_jax.load_exported(tmp_path / f"a.{form}")
    z = 100 * np.ones((3, 8), np.float32)
    pixels = np.asarray(sampler.generate(z, None))
    assert pixels.dtype == np.float32
    assert np.abs(pixels).max() <= 1
    assert written.about["pixels"] == "float32"
    assert sampler(z).dtype == np.uint8


def test_another_generator_than_the_runs_is_not_written(plain, tmp_path, monkeypatch):
    """Of it, one pixel's bias is another."""
    weights = training.weights

    def moved(state):
        found = jax.tree.map(np.array, weights(state))
        bias = jax.tree.leaves(found.params)[0]
        bias += 0.1
        return found

    monkeypatch.setattr(training, "weights", moved)
    with pytest.raises(UserError, match=r"differ from the run's by up to .*: nothing"):
        export.write(plain, tmp_path / "a.stablehlo", "stablehlo", "float32")
    assert [*tmp_path.iterdir()] == []


def test_a_run_in_bfloat16_is_exported_in_float32(tmp_path):
    config = config_of(precision="bfloat16")
    make_run(tmp_path / "run", config)
    written = export.write(tmp_path / "run", tmp_path / "a.stablehlo", "stablehlo")
    assert written.difference <= 1
    gan = config_of().make_gan()
    _, state = sampling.restore(tmp_path / "run")
    found = gan_jax.load_exported(tmp_path / "a.stablehlo")
    assert files.largest_difference(found, gan, state) <= 1


@pytest.mark.parametrize("form", forms(export.PROGRAMS))
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("network", ["reference", "dcgan", "resnet", "r3gan"])
@pytest.mark.slow  # MLPs are the others'
def test_every_network_is_exported(network, conditional, form):
    need(form)
    recipe = recipes.recipe("hinge", network=network, width=8, conditional=conditional)
    gan = recipes.make_gan(recipe, shape=(32, 32, 3))
    state = training.init_state(gan, jax.random.key(0), (32, 32, 3))
    said = {
        "gan_jax_export": 1,
        "latent_size": gan.latent_size,
        "num_classes": gan.num_classes,
        "shape": [32, 32, 3],
    }
    make, read = {
        "onnx": (programs.to_onnx, programs.from_onnx),
        "stablehlo": (programs.to_stablehlo, programs.from_stablehlo),
    }[form]
    found, generate = read(make(gan, state, "float32", said))
    assert found == said
    sampler = sampling.Sampler(generate, gan.latent_size, gan.num_classes)
    assert files.largest_difference(sampler, gan, state) < 1e-4


def test_classes_and_latents_are_chosen_as_the_page_says(run, tmp_path):
    """By the code of docs/export.md."""
    file = tmp_path / "generator.npz"
    export.write(run, file, "npz")
    code = block("gan_jax.load_exported(").replace("generator.onnx", str(file))
    if run.name == "unconditional":
        names = {}
        exec(code, names)
        assert names["images"].shape == (1, 28, 28, 1)
        return
    names = {"sampler": gan_jax.load_exported(file)}
    exec(block("label=1"), names)
    assert names["drawn"].images.shape == names["images"].shape == (16, 28, 28, 1)
    assert {*names["drawn"].labels.tolist()} == {1}
    np.testing.assert_array_equal(
        names["images"], names["sampler"](names["z"], [1] * 16)
    )


def test_stablehlo_is_for_every_kind_of_device_and_needs_jax_alone(plain, tmp_path):
    """By the code of docs/export.md, without Flax and this project."""
    printed = run_block(
        "stablehlo",
        plain,
        tmp_path / "generator.stablehlo",
        "print(images.shape, images.dtype, program.platforms)",
        without=("flax", "gan_jax", "optax"),
    )
    assert printed == "(16, 28, 28, 1) uint8 ('cpu', 'cuda', 'tpu')\n"


@pytest.mark.export
def test_onnx_needs_no_jax(plain, tmp_path):
    """By the code of docs/export.md."""
    need("onnx")
    printed = run_block(
        "onnxruntime",
        plain,
        tmp_path / "generator.onnx",
        "print(images.shape, images.dtype, about['licence'])",
        without=("jax",),
    )
    assert printed == "(16, 28, 28, 1) uint8 Apache-2.0\n"


@pytest.mark.export
def test_pytorch_reads_the_reference_generator(tmp_path):
    """By the code of docs/export.md: the run's images, to the rounding of float32."""
    torch = pytest.importorskip("torch")
    need("safetensors")
    run, file = tmp_path / "run", tmp_path / "generator.safetensors"
    make_run(run, config_of(network="reference", latent_size=64, width=None))
    export.write(run, file, "safetensors")
    names = {}
    exec(block("torch").replace("generator.safetensors", str(file)), names)
    z = sampling.first_latents(64, 0, 16)
    gan, state = sampling.restore(run)
    wanted = np.asarray(training.generate(gan, state, z))
    found = names["generator"](torch.from_numpy(z.copy())).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def block(library):
    """The Python of docs/export.md that imports a library."""
    text = (pathlib.Path(__file__).parents[2] / "docs" / "export.md").read_text()
    blocks = [part.partition("```")[0] for part in text.split("```python\n")[1:]]
    (found,) = [each for each in blocks if library in each]
    return found


def run_block(library, run, file, more, without):
    """What that code prints, of an exported run and with a line more.

    In a process of its own, which has not imported some modules by then.
    """
    export.write(run, file, file.suffix[1:])
    code = block(library).replace(file.name, str(file))
    code += f"\nimport sys; {more}\nassert not {{*{without}}} & sys.modules.keys()"
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=file.parent,
        env={"JAX_PLATFORMS": "cpu"},
    )
    return told.stdout


def with_about(path, **changes):
    """An .npz of the run's whose own words are others."""
    with np.load(path) as file:
        found = dict(file)
    said = json.loads(str(found["about"])) | changes
    np.savez(path, **(found | {"about": np.array(json.dumps(said))}))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gan_jax_export": 2}, "of version 2"),
        ({"latent_size": 9}, "sizes are not those"),
        ({"num_classes": 10}, "sizes are not those"),
        ({"shape": [28, 28]}, "its sizes are"),
        ({"flags": {}}, "damaged"),
        ({"step": 1e20}, "damaged"),
        ({"flags": config_of(latent_size=9).flags(), "latent_size": 9}, "is float32"),
        ({"flags": config_of(network="reference", width=None).flags()}, "too "),
    ],
)
def test_weights_of_something_else_are_refused(plain, tmp_path, changes, why):
    file = tmp_path / "a.npz"
    export.write(plain, file, "npz")
    with_about(file, **changes)
    with pytest.raises(UserError, match=why):
        gan_jax.load_exported(file)


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "samples.npz", images=np.zeros((2, 28, 28, 1), np.uint8))
    np.savez(tmp_path / "pickle.npz", about=np.array([{}], object))
    with zipfile.ZipFile(tmp_path / "other.stablehlo", "w") as archive:
        archive.writestr("a", "b")
    for name in ("samples.npz", "pickle.npz", "other.stablehlo"):
        with pytest.raises(UserError, match="not of gan_jax"):
            gan_jax.load_exported(tmp_path / name)
    with pytest.raises(UserError, match=r"end in \.onnx, \.stablehlo"):
        gan_jax.load_exported(tmp_path / "a.h5")
    with pytest.raises(UserError, match="cannot read"):
        gan_jax.load_exported(tmp_path / "none.npz")


def test_a_network_of_ones_own_is_run_where_that_is_asked_for_and_as_it_was(
    tmp_path, monkeypatch
):
    """Of a loss of one's own, nothing is run."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("mine.py").write_text(
        "from gan_jax.losses import LOSSES\n"
        "from gan_jax.networks import Discriminator, Generator\n"
        "mine = LOSSES['hinge']\n"
    )
    for numbers, asks in (
        ({"loss": "mine.py:mine"}, False),
        ({"network": "mine.py:Generator,Discriminator", "width": None}, True),
    ):
        config = config_of(**numbers)
        sources = recipes.sources(config.recipe)
        config = dataclasses.replace(config, sources=tuple(sources.items()))
        make_run(tmp_path / f"run_{asks}", config)
        export.write(tmp_path / f"run_{asks}", tmp_path / "a.npz", "npz")
        if asks:
            with pytest.raises(
                UserError, match=r"look at it, and load .* own_code=True"
            ):
                gan_jax.load_exported("a.npz")
        else:
            with monkeypatch.context() as patch:
                patch.setattr(own_code, "find", None)
                patch.setattr(own_code, "source", None)
                gan_jax.load_exported("a.npz")
        drawn = gan_jax.load_exported("a.npz", own_code=True).draw(1)
        assert drawn.images.shape == (1, 28, 28, 1)
    (place,) = sources
    with_about("a.npz", flags=config.flags() | {"sources": {place: "0" * 64}})
    with pytest.raises(UserError, match="not as it was") as error:
        gan_jax.load_exported("a.npz", own_code=True)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize("form", forms(("onnx", "safetensors")))
def test_a_library_that_is_missing_is_named(plain, tmp_path, monkeypatch, form):
    need(form)
    file = tmp_path / f"a.{form}"
    export.write(plain, file, form)
    for name in ("jax2onnx", "onnxruntime", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    words = rf"^\S+ is not installed: pip install 'gan_jax\[{form}\]'"
    with pytest.raises(UserError, match=words):
        gan_jax.load_exported(file)
    with pytest.raises(UserError, match=words):
        export.write(plain, tmp_path / f"b.{form}", form)
    assert [*tmp_path.iterdir()] == [file]


def test_a_program_that_is_not_what_it_says_is_refused(plain, tmp_path):
    file = tmp_path / "a.stablehlo"
    export.write(plain, file, "stablehlo")
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    said = json.loads(parts["about.json"])
    for changes in ({"latent_size": 9}, {"num_classes": 10}):
        said_otherwise = json.dumps(said | changes)
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in (parts | {"about.json": said_otherwise}).items():
                archive.writestr(name, content)
        with pytest.raises(UserError, match="its inputs are"):
            gan_jax.load_exported(file)


def test_a_sampler_refuses_what_it_cannot_draw(plain):
    sampler = gan_jax.load(plain)
    with pytest.raises(UserError, match=r"of shape \[2, 9\]: .* \[batch, 8\]"):
        sampler(np.zeros((2, 9)))
    with pytest.raises(UserError, match="takes labels, and no other"):
        sampler(np.zeros((2, 8)), [0, 1])
    with pytest.raises(UserError, match="at least one"):
        sampler.draw(0)
