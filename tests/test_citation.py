"""CITATION.cff names this version."""

import pathlib

import yaml

import gan_jax

PATH = pathlib.Path(__file__).parents[1] / "CITATION.cff"


def test_it_has_what_the_format_requires_and_this_version():
    cited = yaml.safe_load(PATH.read_text())
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0"
    assert cited["authors"] == [{"name": "The gan_jax authors"}]
    assert (cited["title"], cited["version"]) == ("gan_jax", gan_jax.__version__)
    assert cited["license"] == "Apache-2.0"
