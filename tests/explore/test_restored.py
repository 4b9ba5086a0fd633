"""Runs are restored once, until their checkpoint is another."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gan_jax import recipes
from gan_jax.errors import UserError
from gan_jax.explore import restored
from gan_jax.losses import LOSSES
from tests.explore import making


@pytest.fixture
def root(tmp_path):
    making.make_run(tmp_path / "a")
    return tmp_path


def test_a_run_is_restored_once(root):
    first = restored.restore(root, "a")
    assert restored.restore(root, "a") is first
    assert (first.step, first.warnings) == (20, ())
    _, state = making.gan_and_state(first.config)
    leaves = [jax.tree.leaves(s.generator) for s in (first.state, state)]
    for x, y in zip(*leaves, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_new_checkpoint_is_another_state_of_the_same_gan(root):
    first = restored.restore(root, "a")
    making.save(root / "a", first.config, 30, shift=0.5)
    second = restored.restore(root, "a")
    assert second.step == 30
    assert second.gan is first.gan  # what is compiled for it stays


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(root):
    config = restored.restore(root, "a").config
    making.save(root / "a", config, 30, shift=0.5)
    for path in (root / "a" / "checkpoints" / "30" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])
    found = restored.restore(root, "a")
    assert found.step == 20
    assert "checkpoint 30" in found.warnings[0]


def test_a_run_without_a_checkpoint_or_settings_is_refused(root):
    making.make_run(root / "b", checkpoint=False)
    with pytest.raises(UserError, match="b has no checkpoint yet"):
        restored.restore(root, "b")
    (root / "b" / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        restored.restore(root, "b")
    with pytest.raises(UserError, match="there is no run"):
        restored.restore(root, "../a")


def test_code_of_ones_own_is_run_only_where_that_is_allowed(root):
    (root / "mine.py").write_text("raise SystemExit('it was run')")
    path = root / "a" / "config.json"
    contents = json.loads(path.read_text())
    contents["flags"]["loss"] = f"{root}/mine.py:LOSS"
    path.write_text(json.dumps(contents))
    with pytest.raises(UserError, match="start with --own_code"):
        restored.restore(root, "a")


def test_a_run_with_code_of_ones_own_is_restored_where_that_is_allowed(root):
    code = "from gan_jax.losses import LOSSES\nLOSS = LOSSES['hinge']\n"
    (root / "mine.py").write_text(code)
    config = making.config_of(f"{root}/mine.py:LOSS")
    sources = tuple(recipes.sources(config.recipe).items())
    making.make_run(root / "own", dataclasses.replace(config, sources=sources))
    with pytest.raises(UserError, match="start with --own_code"):
        restored.restore(root, "own")
    found = restored.restore(root, "own", own_code=True)
    assert found.gan.loss == LOSSES["hinge"]
    assert (found.step, found.warnings) == (20, ())
