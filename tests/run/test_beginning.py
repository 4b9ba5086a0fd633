"""A run that begins with another one's weights."""

import dataclasses
import json
import shutil

import chex
import jax
import pytest

from gan_jax import recipes, training
from gan_jax.errors import UserError
from gan_jax.run import beginning, configuration
from tests.run import making

RECIPE = recipes.recipe("hinge", "tuned")


@pytest.fixture(scope="module", autouse=True)
def small_networks(small_networks_of_module):
    with pytest.MonkeyPatch.context() as patch:
        making.compile_once(patch.setattr)
        yield


@pytest.fixture(scope="module")
def dataset():
    return making.noise(50)


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """The folder of a run of three steps, and its last state."""
    folder = tmp_path_factory.mktemp("beginning") / "trained"
    return folder, making.train(config_of(steps=3), dataset, folder)


def config_of(steps=2, **changed):
    recipe = dataclasses.replace(RECIPE, **changed)
    return configuration.Config(recipe, "garments", seed=5, steps=steps)


def fresh(config):
    return training.init_state(config.make_gan(), jax.random.key(5), config.shape)


def test_weights_are_the_other_run_s_and_all_else_is_new(trained):
    folder, there = trained
    found = beginning.read(folder)
    before = fresh(config_of(loss="minimax"))
    state = beginning.begin(before, found.sha256, found)
    for name in ("generator", "discriminator"):
        here, other, seed_s = (getattr(s, name) for s in (state, there, before))
        chex.assert_trees_all_equal(here.params, other.params)
        chex.assert_trees_all_equal(here.batch_stats, other.batch_stats)
        chex.assert_trees_all_equal(here.optimiser, seed_s.optimiser)
    chex.assert_trees_all_equal(state.ema, there.ema)
    assert state.step == 0
    assert (state.key == before.key).all()


def test_a_moving_average_starts_at_the_weights_where_there_was_none(trained):
    folder, _ = trained
    found = beginning.read(folder)
    without = found._replace(state=found.state.replace(ema=None))
    state = beginning.begin(fresh(config_of()), found.sha256, without)
    player = found.state.generator
    chex.assert_trees_all_equal(state.ema, (player.params, player.batch_stats))
    bare = beginning.begin(fresh(config_of(ema_decay=None)), found.sha256, found)
    assert bare.ema is None


def test_a_run_begins_there_and_goes_on_without_it(trained, dataset, tmp_path):
    folder, there = trained
    source = tmp_path / "source"
    shutil.copytree(folder, source)
    whole, halves = tmp_path / "whole", tmp_path / "halves"

    def train(workdir, steps):
        init_sum, start = beginning.find(source, workdir, overwrite=False)
        config = dataclasses.replace(config_of(steps), init_from=init_sum)
        state = making.train(config, dataset, workdir, start=start)
        written = json.loads((workdir / "config.json").read_text())
        written[configuration.INIT_FROM] = str(source)
        (workdir / "config.json").write_text(json.dumps(written))
        return state

    once = train(whole, steps=4)
    train(halves, steps=2)
    shutil.rmtree(source)
    chex.assert_trees_all_equal(train(halves, steps=4), once)
    alone = making.train(config_of(4), dataset, tmp_path / "alone")
    for other in (alone, there):
        with pytest.raises(AssertionError):
            chex.assert_trees_all_equal(once.generator.params, other.generator.params)


def test_weights_that_have_changed_are_not_begun_with(trained, dataset, tmp_path):
    folder, _ = trained
    found = beginning.read(folder)
    config = dataclasses.replace(config_of(), init_from="0" * 64)
    with pytest.raises(UserError, match="other weights than those that are in"):
        making.train(config, dataset, tmp_path / "run", start=found)
    with pytest.raises(UserError, match="other weights"):
        making.train(config, dataset, tmp_path / "run")


def test_weights_that_changed_before_the_first_checkpoint_are_refused(
    trained, tmp_path
):
    config = dataclasses.replace(config_of(), init_from="0" * 64)
    configuration.write_config(tmp_path, config, init_from=str(trained[0]))
    with pytest.raises(UserError, match="other weights than those that are in"):
        beginning.find(trained[0], tmp_path, overwrite=False)
    assert beginning.find(trained[0], tmp_path, overwrite=True)[1] is not None


def test_the_average_that_is_taken_over_is_not_forgotten_at_once(
    trained, dataset, tmp_path
):
    found = beginning.read(trained[0])
    raised = jax.tree.map(lambda leaf: leaf + 1, found.state.ema)
    other = found._replace(state=found.state.replace(ema=raised))
    config = dataclasses.replace(config_of(steps=4), init_from=found.sha256)
    averages = [
        making.train(config, dataset, tmp_path / name, start=start).ema
        for name, start in (("found", found), ("other", other))
    ]
    moved = jax.tree.map(lambda a, b: b - a, *averages)
    expected = jax.tree.map(lambda leaf: 0 * leaf + RECIPE.ema_decay**4, moved)
    chex.assert_trees_all_close(moved, expected, rtol=1e-5)


def test_code_that_has_changed_since_is_said_to_be_the_other_run_s(trained, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(trained[0], folder)
    mine = tmp_path / "mine.py"
    mine.write_text("loss = 1")
    written = json.loads((folder / "config.json").read_text())
    written["flags"] |= {"loss": f"{mine}:loss", "sources": {str(mine): "0" * 64}}
    (folder / "config.json").write_text(json.dumps(written))
    with pytest.raises(UserError, match=f"--init_from={folder} was trained with"):
        beginning.read(folder)


@pytest.mark.parametrize("changed", [{"conditional": True}, {"latent_size": 3}])
def test_other_networks_are_refused_with_what_differs(trained, changed):
    found = beginning.read(trained[0])
    with pytest.raises(UserError, match=r"\(\S+ is float32\[.* there and"):
        beginning.check(found, config_of(**changed))
    beginning.check(found, config_of(loss="kl", batch_size=16))


def test_a_run_does_not_begin_with_itself(trained):
    with pytest.raises(UserError, match="is --workdir itself"):
        beginning.find(trained[0], trained[0], overwrite=True)


def test_where_there_is_no_run_there_is_nothing_to_begin_with(tmp_path):
    with pytest.raises(UserError, match="no run in"):
        beginning.find(tmp_path / "none", tmp_path / "run", overwrite=False)
