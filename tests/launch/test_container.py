"""The Dockerfile, read without Docker: its files are there, and are not ignored."""

import fnmatch
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
LINES = [line for line in DOCKERFILE.splitlines() if line and line[0] != "#"]


def copied():
    """What the COPY lines take from the checkout."""
    lines = [line.split()[1:] for line in LINES if line.startswith("COPY ")]
    return {name for words in lines if "--from" not in words[0] for name in words[:-1]}


def ignored(path):
    """Whether .dockerignore leaves a path out: the last pattern that fits decides."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    found = False
    parts = [path, *map(str, pathlib.PurePath(path).parents)]
    for line in lines:
        pattern = line.removeprefix("!").removeprefix("**/")
        if line and line[0] != "#":
            names = parts if "**" not in line else pathlib.PurePath(path).parts
            if any(fnmatch.fnmatch(name, pattern) for name in names if name != "."):
                found = line[0] != "!"
    return found


def test_what_is_copied_is_there_and_not_ignored():
    assert copied() == {"pyproject.toml", "constraints.txt", "gan_jax", "experiments"}
    for name in copied():
        assert (ROOT / name).exists()
        assert not ignored(name)
    for name in ("gan_jax/losses.py", "experiments/explorer/looks.css"):
        assert not ignored(name)


def test_what_is_not_copied_is_ignored():
    for name in (".git/config", ".venv/bin/python", "runs/x/config.json", "README.md"):
        assert ignored(name)
    assert ignored("gan_jax/__pycache__/losses.cpython-312.pyc")


def test_there_is_a_target_for_cpus_and_one_for_gpus():
    """And the extra of the second one is there."""
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert {name: base for base, name in stages} == {
        "base": "python:3.12-slim",
        "sources": "scratch",
        "gpu": "base",
        "cpu": "base",
    }
    assert stages[-1][1] == "cpu"  # of a build without --target
    assert "'/opt/dependencies[gpu]'" in DOCKERFILE
    assert re.search(r"^gpu = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def test_it_does_not_run_as_root():
    for name in ("gpu", "cpu"):
        stage = DOCKERFILE.split(f" AS {name}\n")[1].split("\nFROM ")[0]
        users = re.findall(r"^USER (\S+)$", stage, re.MULTILINE)
        assert users == ["1000"]


def test_dependencies_do_not_depend_on_the_sources():
    """Their layer comes before the sources', and copies two files."""
    for name in ("gpu", "cpu"):
        stage = DOCKERFILE.split(f" AS {name}\n")[1].split("\nFROM ")[0]
        assert stage.index("pip install") < stage.index("COPY --from=sources")
    base = DOCKERFILE.split("\nFROM scratch")[0]
    assert re.findall(r"^COPY (.+)$", base, re.MULTILINE) == [
        "pyproject.toml constraints.txt ./"
    ]


def test_the_entry_point_is_the_program_that_the_readme_trains_with():
    assert 'ENTRYPOINT ["python", "-m", "experiments.train"]' in LINES
    assert (ROOT / "experiments" / "train.py").exists()
    readme = (ROOT / "README.md").read_text()
    assert "python -m experiments.train --loss=wasserstein_gp" in readme
