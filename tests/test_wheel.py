"""What is installed: `gan_jax`, all of it, and nothing beside it."""

import ast
import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SOURCES, WEIGHTS = (
    [p.relative_to(ROOT) for p in (ROOT / "gan_jax").rglob(pattern)]
    for pattern in ("*.py", "*.npz")
)


def python(*arguments, executable=sys.executable, **how):
    done = subprocess.run(
        [executable, *map(str, arguments)], capture_output=True, text=True, **how
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy of the tree, by the setuptools that is installed."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for name in ("gan_jax", "experiments", "tests"):
        shutil.copytree(
            ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    build = "from setuptools import build_meta; build_meta.build_wheel('wheels')"
    python("-c", build, cwd=tree)
    [made] = (tree / "wheels").iterdir()
    return made


def test_it_holds_the_library_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = [pathlib.PurePosixPath(name) for name in archive.namelist()]
    tops = {name.parts[0] for name in names}
    assert tops == {"gan_jax", *(top for top in tops if top.endswith(".dist-info"))}
    assert len(tops) == 2
    assert {n for n in names if n.parts[0] == "gan_jax"} == {*SOURCES, *WEIGHTS}


@pytest.mark.slow
def test_in_a_bare_environment_the_code_of_the_readme_runs(wheel, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    python("-m", "pip", "--python", bare, "install", "--no-deps", "--no-index", wheel)
    # Of this environment; what is installed in place is not among them.
    dependencies = pathlib.Path(pytest.__file__).parents[1]
    block = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    where = "import gan_jax; print(gan_jax.__file__)"
    (tmp_path / "empty").mkdir()
    said = python(
        *("-c", f"{block}\n{where}"),
        executable=bare,
        cwd=tmp_path / "empty",
        env={**os.environ, "PYTHONPATH": str(dependencies)},
    )
    assert said.count("d_loss") == 10
    assert said.splitlines()[-1].startswith(str(tmp_path / "bare"))


def test_every_library_that_is_imported_is_a_dependency():
    extras = (
        "fid",
        "ray",
        "optuna",
        "onnx",
        "safetensors",
        "trackio",
        "wandb",
        "mlflow",
    )
    declared, optional = set(), {*extras}  # most have their package's name
    for line in importlib.metadata.requires("gan_jax"):
        name = re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")
        of_extra = re.search(r"extra == .(\w+)", line)
        if of_extra is None:
            declared.add(name)
        elif of_extra[1] in extras:
            optional.add(name)
    of_module = importlib.metadata.packages_distributions()
    imported = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse((ROOT / source).read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    others = imported - {*sys.stdlib_module_names, "gan_jax"}
    assert len(others) > 8
    for module in others:
        if module.replace("_", "-") in optional:  # perhaps not installed
            continue
        owners = {name.lower().replace("_", "-") for name in of_module[module]}
        assert owners & declared, module
