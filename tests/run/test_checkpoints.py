"""Checkpoints: whole, the newest few, checked, and never taken for another run's."""

import dataclasses
import errno
import functools
import json
import os
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import networks, recipes, training
from gan_jax.devices import placement
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, restoring
from tests import small
from tests.processes.running import Process

CONFIG = configuration.Config(
    recipes.recipe("wasserstein_gp", latent_size=3, ema_decay=0.9), "garments", 0, 100
)
ABOUT = {"flags": CONFIG.flags(), "versions": configuration.versions()}


@functools.cache
def state_at(step):
    """A state that no other step has."""
    state = training.init_state(small.gan(CONFIG.recipe), jax.random.key(step), (2,))
    return state.replace(step=state.step + step)


def save(folder, *steps, keep=2, about=ABOUT):
    writer = checkpoints.Writer(folder, about, keep=keep)
    for step in steps:
        writer.save(step, state_at(step))
    writer.close()


def restore(folder, about=ABOUT, **how):
    said = []
    state = restoring.restore(folder, state_at(0), about, say=said.append, **how)
    return state, said


def assert_same(state, other):
    """The same bytes: -0.0 is another number than 0.0 here."""
    numbers = [s.replace(key=jax.random.key_data(s.key)) for s in (state, other)]
    chex.assert_trees_all_equal_shapes_and_dtypes(*numbers)
    assert checkpoints.digest(jax.device_get(numbers[0])) == checkpoints.digest(
        jax.device_get(numbers[1])
    )


def damage(folder, step):
    for path in (folder / "checkpoints" / str(step)).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_state_comes_back_bit_for_bit_and_the_newest_are_kept(tmp_path):
    assert checkpoints.newest(tmp_path) is None
    save(tmp_path, 10, 20, 30)
    assert checkpoints.steps(tmp_path) == [20, 30]
    state, said = restore(tmp_path)
    assert_same(state, state_at(30))
    assert said == []
    save(tmp_path, 40, 50, keep=3)
    assert checkpoints.steps(tmp_path) == [30, 40, 50]


def test_an_optimiser_may_have_its_state_in_bfloat16(tmp_path):
    player = state_at(1).generator
    rounded = jax.tree.map(
        lambda x: x.astype(jnp.bfloat16) if x.dtype == jnp.float32 else x,
        player.optimiser,
    )
    state = state_at(1).replace(generator=player.replace(optimiser=rounded))
    writer = checkpoints.Writer(tmp_path, ABOUT, keep=1)
    writer.save(1, state)
    writer.close()
    assert_same(restoring.restore(tmp_path, state, ABOUT, say=print), state)


def test_a_folder_may_be_named_from_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = pathlib.Path("runs") / "mine"
    folder.mkdir(parents=True)
    save(folder, 10)
    assert_same(restore(folder)[0], state_at(10))


def test_no_checkpoint_is_none(tmp_path):
    assert restore(tmp_path) == (None, [])
    with pytest.raises(UserError, match=r"no checkpoint yet.*--checkpoint_every"):
        checkpoints.require(tmp_path)


def test_config_and_versions_lie_beside_the_state(tmp_path):
    save(tmp_path, 10)
    about = json.loads((tmp_path / "checkpoints/10/about/metadata").read_text())
    assert about["flags"] == json.loads(json.dumps(CONFIG.flags()))
    assert about["versions"]["jax"] == jax.__version__


def test_a_state_of_eight_devices_is_read_where_there_is_one(tmp_path):
    state = placement.replicate(state_at(10), jax.devices())
    writer = checkpoints.Writer(tmp_path, ABOUT, keep=2)
    writer.save(10, state)
    writer.close()
    code = f"""
import jax, pathlib
from tests.run.test_checkpoints import restore
state, said = restore(pathlib.Path({str(tmp_path)!r}))
print(len(jax.devices()), state.generator.params["Dense_0"]["kernel"].sum())
"""
    code = ["tests.processes.run_code", code]
    status, stdout, stderr = Process(code, small=False, JAX_NUM_CPU_DEVICES="1").end()
    assert status == 0, stderr
    devices, total = stdout.split()
    assert devices == "1"
    expected = state.generator.params["Dense_0"]["kernel"].sum()
    assert float(total) == pytest.approx(float(expected), rel=1e-6)


# Damage


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(tmp_path):
    save(tmp_path, 10, 20)
    damage(tmp_path, 20)
    state, said = restore(tmp_path)
    assert_same(state, state_at(10))
    assert len(said) == 1
    assert said[0].startswith(f"checkpoint 20 in {tmp_path} is damaged (")
    assert said[0].endswith("using the one of step 10 instead")
    assert checkpoints.steps(tmp_path) == [10, 20]  # who only reads moves nothing


def test_training_moves_a_damaged_checkpoint_out_of_its_way(tmp_path):
    save(tmp_path, 10, 20)
    damage(tmp_path, 20)
    restore(tmp_path, set_aside=True)
    assert checkpoints.steps(tmp_path) == [10]
    assert (tmp_path / checkpoints.DAMAGED / "20").is_dir()
    save(tmp_path, 20, 30)
    damage(tmp_path, 30)
    damage(tmp_path, 20)
    with pytest.raises(UserError, match=r"checkpoint 30 in .*no other"):
        restore(tmp_path, set_aside=True)
    assert checkpoints.steps(tmp_path) == [20, 30]  # and loses none


def test_only_damaged_checkpoints_are_refused_by_name(tmp_path):
    save(tmp_path, 10)
    damage(tmp_path, 10)
    with pytest.raises(UserError, match=r"checkpoint 10 in .*--overwrite") as caught:
        restore(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_number_that_was_changed_is_damage_too(tmp_path):
    """What orbax itself would not see: well-formed files, other numbers."""
    save(tmp_path, 10)
    other = tmp_path / "other"
    other.mkdir()
    writer = checkpoints.Writer(other, ABOUT, keep=1)
    changed = state_at(10)
    params = jax.tree.map(lambda x: x, changed.generator.params)
    params["Dense_0"]["kernel"] = jnp.nextafter(params["Dense_0"]["kernel"], jnp.inf)
    writer.save(10, changed.replace(generator=changed.generator.replace(params=params)))
    writer.close()
    (tmp_path / "checkpoints/10/about/metadata").replace(
        other / "checkpoints/10/about/metadata"
    )
    with pytest.raises(UserError, match="its numbers are not as saved"):
        restore(other)


def test_a_checkpoint_under_the_number_of_another_step_is_damage(tmp_path):
    save(tmp_path, 10)
    (tmp_path / "checkpoints/10").rename(tmp_path / "checkpoints/99")
    with pytest.raises(UserError, match="it is of step 10"):
        restore(tmp_path)


def test_what_a_killed_process_had_no_time_to_delete_is_deleted(tmp_path):
    save(tmp_path, 10, 20, 30, keep=3)
    checkpoints.Writer(tmp_path, ABOUT, keep=2).close()
    assert checkpoints.steps(tmp_path) == [20, 30]


def test_what_a_killed_process_left_half_written_is_no_checkpoint(tmp_path):
    save(tmp_path, 10)
    half = tmp_path / "checkpoints" / "20.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "state").write_bytes(b"half")
    assert checkpoints.steps(tmp_path) == [10]
    assert_same(restore(tmp_path)[0], state_at(10))
    assert half.exists()  # another process may be writing it
    save(tmp_path, 30)
    assert not half.exists()


def test_a_checkpoint_that_is_deleted_while_it_is_read_is_no_damage(
    tmp_path, monkeypatch
):
    save(tmp_path, 10)
    read = restoring._read

    def slow(folder, *rest):
        if folder.name == "10":  # the trainer goes on meanwhile, and keeps one
            save(tmp_path, 20, keep=1)
        return read(folder, *rest)

    monkeypatch.setattr(restoring, "_read", slow)
    state, said = restore(tmp_path)
    assert_same(state, state_at(20))
    assert said == []


def seal(folder, step, **changes):
    """Changes what is written about a checkpoint, and its hash with it."""
    path = folder / "checkpoints" / str(step) / "about" / "metadata"
    about = {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}
    about = {k: v for k, v in (about | changes).items() if v is not None}
    about["sha256"] = checkpoints.about_digest(about)
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    "sealed",
    [{"versions": None}, {"versions": [1]}, {"versions": "all"}, {"devices": "all"}],
)
def test_what_a_stranger_sealed_is_refused_where_it_makes_no_sense(tmp_path, sealed):
    save(tmp_path, 10)
    seal(tmp_path, 10, **sealed)
    with pytest.raises(UserError, match=r"checkpoint 10 in .* cannot be read"):
        restore(tmp_path)


def test_arrays_of_other_shapes_are_refused_before_memory_is_taken_for_them(
    tmp_path, monkeypatch
):
    wide = networks.MLPGenerator(hidden=(5,))
    state = training.init_state(
        dataclasses.replace(small.gan(CONFIG.recipe), generator=wide),
        jax.random.key(0),
        (2,),
    )
    writer = checkpoints.Writer(tmp_path, ABOUT, keep=2)
    writer.save(10, state.replace(step=state.step + 10))
    writer.close()
    monkeypatch.setattr(restoring, "digest", lambda state: pytest.fail("was read"))
    with pytest.raises(UserError, match=r"Dense_0\.bias is not float32 \[4\]"):
        restore(tmp_path)


@pytest.mark.parametrize("name", ["0099", "+99", "99 ", "٩٩", "99.part"])
def test_a_folder_of_another_name_is_no_checkpoint(tmp_path, name):
    save(tmp_path, 10)
    (tmp_path / "checkpoints" / name).mkdir()
    assert checkpoints.steps(tmp_path) == [10]
    assert_same(restore(tmp_path)[0], state_at(10))


def test_a_link_that_leads_nowhere_is_no_checkpoint(tmp_path):
    save(tmp_path, 10)
    (tmp_path / "checkpoints" / "99").symlink_to(tmp_path / "nowhere")
    assert_same(restore(tmp_path)[0], state_at(10))


def test_checkpoints_on_a_disk_that_is_not_there_are_not_taken_for_none(tmp_path):
    (tmp_path / "checkpoints").symlink_to(tmp_path / "unmounted")
    with pytest.raises(UserError, match=r"cannot look for checkpoints.*bring it back"):
        restore(tmp_path)
    (tmp_path / "checkpoints").unlink()
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(UserError, match="cannot look for checkpoints"):
        restore(tmp_path)


def test_what_cannot_be_read_now_may_be_whole_and_is_left_where_it_is(
    tmp_path, monkeypatch
):
    save(tmp_path, 10, 20)

    def fail(folder, *rest):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(restoring, "_read", fail)
    with pytest.raises(UserError, match=r"cannot read checkpoint 20 .*Too many open"):
        restore(tmp_path, set_aside=True)
    assert checkpoints.steps(tmp_path) == [10, 20]


def test_a_probe_that_a_killed_process_left_is_in_nobodys_way(tmp_path):
    save(tmp_path, 10)
    (tmp_path / "checkpoints" / "probe.part").mkdir()
    save(tmp_path, 20)
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["10", "20"]


# Other runs, other versions


def test_a_checkpoint_of_another_configuration_is_refused_by_its_flags(tmp_path):
    save(tmp_path, 10, 20)
    other = dataclasses.replace(CONFIG, seed=7, steps=3)
    with pytest.raises(UserError, match=r"another run \(--seed=0 there and 7 now\)"):
        restore(tmp_path, {"flags": other.flags()})


def test_other_versions_are_told(tmp_path):
    versions = {**configuration.versions(), "jax": "0.1"}
    save(tmp_path, 10, about={**ABOUT, "versions": versions})
    state, said = restore(tmp_path)
    assert_same(state, state_at(10))
    assert f"jax=0.1 there and {jax.__version__} now" in said[0]
    assert restore(tmp_path, {"flags": CONFIG.flags()})[1] == []


def test_other_devices_are_told(tmp_path):
    there = {"count": 1, "kind": "cpu", "processor": "Abacus 3"}
    save(tmp_path, 10, about={**ABOUT, "devices": there})
    assert restore(tmp_path, {**ABOUT, "devices": there})[1] == []
    assert restore(tmp_path)[1] == []  # a program that only reads
    here = {**there, "count": 4, "processor": "Abacus 4"}
    state, [said] = restore(tmp_path, {**ABOUT, "devices": here})
    assert_same(state, state_at(10))
    assert "other devices (count=1 there and 4 now, processor=Abacus 3 there" in said
    save(tmp_path, 20)  # as before they were written down
    assert restore(tmp_path, {**ABOUT, "devices": here})[1] == []


# Numbers that went wrong


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nothing_that_is_not_finite_is_saved(tmp_path, value):
    save(tmp_path, 10)
    state = state_at(20)
    moments = state.generator.optimiser[0].nu["Dense_0"]["bias"]
    moments = moments.at[0].set(value)
    nu = {**state.generator.optimiser[0].nu}
    nu["Dense_0"] = {**nu["Dense_0"], "bias": moments}
    optimiser = (state.generator.optimiser[0]._replace(nu=nu),)
    optimiser += state.generator.optimiser[1:]
    state = state.replace(generator=state.generator.replace(optimiser=optimiser))
    writer = checkpoints.Writer(tmp_path, ABOUT, keep=2)
    name = r"generator\.optimiser\.0\.nu\.Dense_0\.bias"
    with pytest.raises(UserError, match=f"{name} is not finite at step 20"):
        writer.save(20, state)
    writer.close()
    assert checkpoints.steps(tmp_path) == [10]


def test_a_state_that_is_not_finite_is_not_restored(tmp_path, monkeypatch):
    state = state_at(20)
    bias = state.generator.params["Dense_0"]["bias"].at[0].set(np.nan)
    params = {**state.generator.params}
    params["Dense_0"] = {**params["Dense_0"], "bias": bias}
    state = state.replace(generator=state.generator.replace(params=params))
    writer = checkpoints.Writer(tmp_path, ABOUT, keep=2)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.finite, "first_non_finite", lambda _: None)
        writer.save(20, state)
    writer.close()
    with pytest.raises(UserError, match=r"generator\.params\.Dense_0\.bias is not fin"):
        restoring.restore(tmp_path, state, ABOUT, say=print)


def test_updates_that_are_skipped_are_part_of_the_state(tmp_path):
    gan = small.gan(dataclasses.replace(CONFIG.recipe, on_nan="skip"))
    state = training.init_state(gan, jax.random.key(0), (2,))
    state = state.replace(step=state.step + 5)
    writer = checkpoints.Writer(tmp_path, ABOUT, keep=2)
    writer.save(5, state)
    writer.close()
    assert_same(restoring.restore(tmp_path, state, ABOUT, say=lambda line: None), state)
