"""Every command of README and docs: its program exists, and takes its flags."""

import importlib.util
import re
import subprocess
import tomllib

from packaging.requirements import Requirement

from tests.docs import pages
from tests.processes.running import call

# Programs of others, which tests do not have.
_FOREIGN = ("sky", "gcloud", "optuna-dashboard", "git", "docker", ".venv/bin/jupyter")
_BEFORE = ("srun", "--ntasks=2", "/usr/bin/time", "-v")
# What a reader is to fill in, where the program checks what it is.
_FILLED = {"--coordinator=HOST:PORT": "--coordinator=a:1", "--track=NAME": "--track="}
_EXTRA = re.compile(r"needs .*: pip install 'gan_jax\[")  # that is not installed here
_LISTED = re.compile(r"[\w./*]+\.(json|jsonl|png|py|csv|journal|\*)|.*/")  # files


def _clean(words):
    """Without what stands for more: ``...``, ``[--flag=what may be left out]``."""
    words = [re.sub(r"^\[(--.*)\]$", r"\1", word) for word in words]
    return [word for word in words if "..." not in word and word != "[flags]"]


def _commands():
    """The page and the words of each command; ``...`` repeats the one before it."""
    for page in pages.PAGES:
        before = []
        for words in pages.lines_of_code(page):
            _, words = pages.split_environment(words)
            if words[0] == "...":
                words = [*before, *words[1:]]
            before = words
            yield page, _clean([word for word in words if word not in _BEFORE])


_COMMANDS = [(page, words) for page, words in _commands() if words]
_PYTHON = [
    (page, words[2:])
    for page, words in _COMMANDS
    if words[0] in ("python", ".venv/bin/python") and words[1] == "-m"
]


def test_every_line_of_code_is_a_command_that_is_known_or_names_a_file():
    known = {"python", ".venv/bin/python", "pip", "./launch.sh", ".venv/bin/ruff"}
    known |= {"experiments/measure/on_gpu.sh", ".venv/bin/pip", "pytest", *_FOREIGN}
    lines = {(page, words[0]) for page, words in _COMMANDS}
    assert len(lines) > 50
    assert [x for x in lines if x[1] not in known and not _LISTED.fullmatch(x[1])] == []
    ours = ("gan_jax/", "experiments/", "notebooks/", "tests/", "docs/")
    named = [w for p, w in lines if p == "README.md" and w.startswith(ours)]
    assert len(named) > 10
    assert [word for word in named if not (pages.ROOT / word).exists()] == []
    assert {words[0] for _, words in _PYTHON if "experiments" not in words[0]} <= {
        *("pip", "pytest")
    }


def test_every_program_takes_the_flags_that_pages_give_it():
    names = {words[0] for _, words in _PYTHON} - {"pip", "pytest"}
    assert len(names) > 30
    assert all(importlib.util.find_spec(name) for name in names)
    asked = {}
    for _, (name, *given) in _PYTHON:
        if name in names and given:
            filled = [_FILLED.get(word, word) for word in given]
            asked.setdefault(name, []).append(filled)
    programs = [{name: flags} for name, flags in asked.items()]
    answers = {}
    for i in range(0, len(programs), 8):  # at once
        answers |= call(*programs[i : i + 8], parse=True)
    wrong = [
        (name, flags, answer["stderr"])
        for name, lists in asked.items()
        for flags, answer in zip(lists, answers[name], strict=True)
        if answer["status"] != 0 and not _EXTRA.search(answer["stderr"])
    ]
    assert wrong == []


def test_every_command_of_launch_sh_can_be_carried_out():
    """As far as ``--dry-run`` goes: the flags are parsed, and commands printed."""
    lines = {tuple(w): page for page, w in _COMMANDS if w[0] == "./launch.sh"}
    assert len(lines) > 12
    wrong = []
    for words, page in lines.items():
        argv = [*words[:2], "--dry-run", *words[2:]]
        done = subprocess.run(argv, cwd=pages.ROOT, capture_output=True, text=True)
        if done.returncode or not (done.stdout or words[1] == "setup"):
            wrong.append((page, words, done.stderr))
    assert wrong == []


def test_every_extra_that_is_installed_is_there():
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
    extras = {*project["optional-dependencies"]}
    named = [
        text
        for page in pages.PAGES
        for text in re.findall(r"'((?:gan_jax|\.)\[[^']*\])'", pages.PAGES[page])
    ]
    assert len(named) > 8
    for text in named:
        requirement = Requirement(text.replace(".", "gan_jax", text.startswith(".")))
        assert requirement.extras <= extras, text


def test_every_test_that_is_named_is_there():
    everything = "\n".join(p.read_text() for p in pages.ROOT.glob("tests/**/*.py"))
    for page, text in pages.PAGES.items():
        if page != "CHANGELOG.md":
            for path in re.findall(r"\btests(?:/\w+)+\.py", text):
                assert (pages.ROOT / path).exists(), (page, path)
            for name in re.findall(r"`(test_\w+)(?:\.\.\.)?`", text):
                assert f"def {name}" in everything, (page, name)
