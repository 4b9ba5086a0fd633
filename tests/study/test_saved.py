"""States of many GANs in one file."""

import errno

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import networks, recipes, training
from gan_jax.errors import UserError
from gan_jax.run import checkpoints
from gan_jax.study import saved


def test_a_state_comes_back_bit_for_bit_in_bfloat16_too(tmp_path):
    gan = recipes.make_gan(
        recipes.recipe("hinge", latent_size=3),
        generator=networks.MLPGenerator(hidden=(4,)),
        discriminator=networks.MLPDiscriminator(hidden=(4,)),
    )
    state = training.init_state(gan, jax.random.key(3), (2,))
    player = state.generator
    halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), player.params)
    state = state.replace(generator=player.replace(params=halves))
    saved.write(tmp_path / "a.npz", {"of": 1}, state)
    said = []
    found = saved.read(tmp_path / "a.npz", {"of": 1}, state, said.append)
    assert not said
    kept, expected = (checkpoints.on_host(x) for x in (found, state))
    assert jax.tree.map(lambda x: x.dtype, kept) == jax.tree.map(
        lambda x: x.dtype, expected
    )
    assert checkpoints.digest(kept) == checkpoints.digest(expected)
    # The numbers count, in whatever type they are.
    other = jax.tree.map(lambda x: np.asarray(x) + 1, expected)
    assert checkpoints.digest(other) != checkpoints.digest(expected)


def test_what_cannot_be_read_now_is_not_taken_for_damaged(tmp_path, monkeypatch):
    state = {"w": np.ones(3, np.float32)}
    path = tmp_path / "a.npz"
    np.savez(path, about=np.frombuffer(b"{}", np.uint8), **state)

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(np, "load", refuse)
    gan = recipes.make_gan(recipes.recipe("hinge"))
    like = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    with pytest.raises(UserError, match=r"a\.npz .*Permission denied.*start again"):
        saved.read(path, {}, like, print)
    assert path.exists()
