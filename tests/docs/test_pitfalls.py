"""The messages of docs/pitfalls.md are those that are printed."""

import ast
import functools
import inspect
import re

import jax
import jax.numpy as jnp
import pytest

from gan_jax import recipes, training
from gan_jax.losses import LOSSES
from tests.docs import pages
from tests.processes.running import call

PAGE = "docs/pitfalls.md"
_SAID = [block.strip() for block in pages.blocks(PAGE, "text")]
_SESSIONS = [*pages.sessions(PAGE)]
_QUOTED = [text for text in _SAID if not text.startswith("$")]
_OURS = [t for t in _QUOTED if re.match(r"(train|explore|warning|a |cannot|launch)", t)]
_THEIRS = [text for text in _QUOTED if text not in _OURS]


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A folder, and what each session prints there.

    Those of the same program and environment are calls of one process.
    """
    folder = tmp_path_factory.mktemp("pitfalls")
    (folder / "papers").mkdir()
    (folder / "papers" / "notes.txt").touch()
    together, found = {}, {}
    for number, (environment, words, _) in enumerate(_SESSIONS):
        assert words[:2] == ["python", "-m"]
        kind = words[2], tuple(sorted(environment.items()))
        together.setdefault(kind, []).append(number)
    for (module, settings), numbers in together.items():
        environment = {"JAX_NUM_CPU_DEVICES": "1", **dict(settings)}
        flags = [_SESSIONS[number][1][3:] for number in numbers]
        answers = call({module: flags}, cwd=folder, **environment)[module]
        found |= zip(numbers, answers, strict=True)
    return folder, found


@pytest.mark.parametrize("number", range(len(_SESSIONS)))
def test_a_session_prints_what_the_page_says(number, answered):
    folder, answers = answered
    printed = _SESSIONS[number][2]
    assert answers[number] == {"status": 2, "stdout": "", "stderr": printed + "\n"}
    assert [path.name for path in folder.iterdir()] == ["papers"]


@functools.cache
def _fragments():
    """Texts of the sources: strings, and what f-strings have between their values."""
    root = pages.ROOT
    found = {*re.findall(r"'([^']*)'", (root / "launch.sh").read_text())}
    for path in (*root.glob("gan_jax/**/*.py"), *root.glob("experiments/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return [text for text in found if 8 <= len(text) < 400]


def _share_of_sources(text):
    """How much of a text stands in the sources, in pieces of eight letters or more."""
    covered = [False] * len(text)
    for fragment in _fragments():
        if (place := text.find(fragment)) >= 0:
            covered[place : place + len(fragment)] = [True] * len(fragment)
    return sum(covered) / len(text)


@pytest.mark.parametrize("number", range(len(_OURS)))
def test_a_message_that_is_quoted_stands_in_the_sources(number):
    """But for paths, names and numbers; in other letters it would not."""
    assert _share_of_sources(_OURS[number]) > 0.5
    assert _share_of_sources(_OURS[number].upper()) < 0.2


def _uint8_images():
    gan = recipes.make_gan(recipes.recipe("wasserstein_gp", "published"))

    def step():
        state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
        return training.train_step(gan, state, jnp.zeros((1, 64, 28, 28, 1), jnp.uint8))

    jax.eval_shape(step)


def _axis_too_many():
    LOSSES["hinge"].discriminator(jnp.zeros(4), jnp.zeros((4, 1)))


@pytest.mark.parametrize(
    ("begin", "make"),
    [
        ("RESOURCE_EXHAUSTED", lambda: jnp.zeros(10**14).block_until_ready()),
        ("[Chex]", _axis_too_many),
        ("dtype", _uint8_images),
    ],
)
def test_messages_of_jax_are_those_that_it_gives(begin, make):
    [text] = [text for text in _THEIRS if text.startswith(begin)]
    with pytest.raises(Exception, match=re.escape(text)):
        make()


def test_the_warning_of_a_gpu_that_is_not_used_is_jaxs():
    import jax._src.xla_bridge as bridge

    [text] = [text for text in _THEIRS if text.startswith("An NVIDIA GPU")]
    source = "".join(re.findall(r'"(.*?)"', inspect.getsource(bridge)))
    assert text.removesuffix("cpu.") in source


def test_no_message_is_left_out():
    assert len(_SESSIONS) + len(_OURS) + len(_THEIRS) == len(_SAID)
    kinds = ("RESOURCE", "[Chex]", "dtype", "An NVIDIA", "python: Error while finding")
    assert all(text.startswith(kinds) for text in _THEIRS)
    headings = re.findall(r"^### ", pages.PAGES[PAGE], re.M)
    assert len(headings) == len(_SAID) + 1  # one has no message
