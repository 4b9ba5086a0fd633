"""Paths as users write them."""

import pathlib

import pytest

from gan_jax.errors import UserError
from gan_jax.system.paths import expand


def test_home_is_expanded_and_nothing_else(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert expand("~/runs/a") == pathlib.Path("/home/ada/runs/a")
    assert expand("runs/~a") == pathlib.Path("runs/~a")
    assert expand(pathlib.Path("~")) == pathlib.Path("/home/ada")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("~no_such_user/a", "~no_such_user/a: there is no user no_such_user here"),
        ("a\0b", "it has a zero character"),
    ],
)
def test_what_is_no_path_here_is_said(text, words):
    with pytest.raises(UserError, match=words):
        expand(text)
