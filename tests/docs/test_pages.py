"""Links resolve, code of Python compiles, and changes that pages propose apply."""

import re

import jax
import jax.numpy as jnp
import pytest

from tests.docs import pages


def _python(page):
    return pages.blocks(page, "python")


def test_every_relative_link_and_picture_is_there():
    count = 0
    for page, text in pages.PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"https?:|#", target):
                count += 1
                path = (pages.ROOT / page).parent / target.partition("#")[0]
                assert path.exists(), (page, target)
    assert count > 100


def test_every_picture_of_docs_is_shown():
    text = "".join(pages.PAGES.values())
    shown = set(re.findall(r"(\w+\.png)\)", text))
    assert {p.name for p in pages.ROOT.glob("docs/**/*.png")} <= shown


def test_no_page_names_a_folder_of_some_machine():
    for page, text in pages.PAGES.items():
        assert not re.search(r"/root/|/work/|/Users/|/home/(?!me/)", text), page


def test_every_block_of_python_compiles():
    found = [(page, block) for page in pages.PAGES for block in _python(page)]
    assert len(found) >= 6
    for page, block in found:
        compile(block, page, "exec")


def test_code_of_ones_own_has_what_the_commands_of_its_page_name(tmp_path):
    from gan_jax import own_code

    [block] = _python("docs/own.md")
    (tmp_path / "mine.py").write_text(block)
    commands = pages.PAGES["docs/own.md"].partition("Before anything is written")[0]
    names = {*re.findall(r"--(\w+)=mine\.py:([\w,]+)", commands)}
    assert {flag for flag, _ in names} == {"network", "loss", "penalty", "optimiser"}
    for flag, name in names:
        found = own_code.find(flag, f"{tmp_path}/mine.py:{name}")
        assert len(found) == 1 + name.count(",")


def test_the_code_of_devices_names_what_is_there():
    names = {"source": [{"image": 1, "label": 2}]}
    first, second = _python("docs/devices.md")
    exec("from gan_jax.data import stream\n" + first, names)
    assert [names["images"][0], names["labels"][0]] == [1, 2]
    from gan_jax.devices import parallel
    from gan_jax.run import loop

    for room, name in re.findall(r"\b(loop|parallel)\.(\w+)", second):
        assert hasattr({"loop": loop, "parallel": parallel}[room], name)


@pytest.mark.slow  # it trains the reference networks
def test_the_code_of_readme_and_start_runs(capsys):
    [block] = _python("README.md")
    names = {}
    exec(block, names)
    assert names["samples"].shape == (16, 28, 28, 1)
    assert int(names["state"].step) == 10
    assert capsys.readouterr().out.count("d_loss") == 10
    _, change, loop = _python("docs/index.md")
    exec(change, names)
    assert names["gan"].loss is names["mine"]
    exec(loop, names)
    batch = jax.random.uniform(jax.random.key(0), (2, 4, 3))
    loss = names["discriminator_loss"](lambda x: x.sum(-1), *batch, jax.random.key(1))
    # The critic's gradient is of length sqrt(3).
    hinge = jnp.maximum(0, 1 - batch[0].sum(-1)) + jnp.maximum(0, 1 + batch[1].sum(-1))
    expected = hinge.mean() + 10 * (3**0.5 - 1) ** 2
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_the_code_of_start_is_that_of_the_readme():
    [block], [first, *_] = _python("README.md"), _python("docs/index.md")
    assert block.startswith(first)


def test_every_change_that_a_page_proposes_can_be_made():
    """Blocks of diff: the file, its lines that go (-) and those that come (+)."""
    count = 0
    for page in pages.PAGES:
        for block in pages.blocks(page, "diff"):
            count += 1
            header, *lines = block.splitlines()
            path = pages.ROOT / header.removeprefix("--- ")
            old, new = (
                "".join(
                    line[1:] + "\n" for line in lines if line[:1] in ("", " ", sign)
                )
                for sign in "-+"
            )
            source = path.read_text()
            assert source.count(old) == 1, (page, block)
            compile(source.replace(old, new), str(path), "exec")
    assert count > 7


def test_every_experiment_says_what_breaks_it():
    names = re.findall(r"\]\((\w+\.md)\) \|", pages.PAGES["docs/theory.md"])
    assert len(names) == 19
    for name in names:
        assert "\n## Change this to see it break\n" in pages.PAGES[f"docs/{name}"], name
