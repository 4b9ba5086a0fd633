"""The README's code runs as it stands."""

import pathlib
import re

import pytest

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.slow  # it trains the reference networks
def test_the_code_of_the_readme_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    names = {}
    for block in blocks:
        exec(block, names)
    assert names["samples"].shape == (16, 28, 28, 1)
    assert int(names["state"].step) == 10
    assert names["gan"].loss is names["mine"]
    assert capsys.readouterr().out.count("d_loss") == 10


def test_every_file_that_the_readme_shows_is_there():
    root = pathlib.Path(__file__).parents[1]
    targets = re.findall(r"\]\(((?!http|#)[^)]+)\)", README)
    assert len(targets) >= 6
    assert [target for target in targets if not (root / target).exists()] == []
