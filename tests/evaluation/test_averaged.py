"""Averages that are kept in training: measured when due, and taken up again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.evaluation.averaged import FILE, LAST, RECIPE, Averaged
from gan_jax.training import GANState, Player, averages, weights

LENGTHS = (0.05, 0.2)
DUE = (20, 33)  # the last one is no multiple of 5


def state_at(step, ema=True):
    """A generator whose average has the step as its only weight; or has none."""
    params, stats = {"w": jnp.full((2,), float(step))}, {"m": jnp.float32(-step)}
    player = Player({"w": jnp.zeros(2)} if ema else params, stats, ())
    average = (params, stats) if ema else None
    return GANState(jnp.int32(step), jax.random.key(0), player, player, average)


def measure(gan, state, name):
    """The weight that samples would be drawn with."""
    return {"w": float(weights(state).params["w"][1]), "gan": gan, "name": name}


def make(folder, **changes):
    how = {"lengths": LENGTHS, "at": DUE, "every": 5, "save_every": 10} | changes
    return Averaged(folder, how.pop("lengths"), how.pop("at"), measure, **how)


def take(averaged, steps, **how):
    for step in steps:
        assert averaged("a GAN", state_at(step, **how)) == {}


ALL = (*range(5, 31, 5), 33)


@pytest.fixture
def whole(tmp_path):
    averaged = make(tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    take(averaged, ALL)
    return averaged


def test_each_average_is_measured_when_it_is_due(whole):
    assert set(whole.measured) == set(DUE)
    for step, found in whole.measured.items():
        assert list(found) == [LAST, RECIPE, "0.05", "0.2"]
        assert [row["name"] for row in found.values()] == list(found)
        assert (found[LAST]["w"], found[RECIPE]["w"]) == (0, step)
        times = np.array([0, *(t for t in ALL if t <= step)])
        for length in LENGTHS:
            mass = np.diff((times / step) ** (averages.exponent(length) + 1))
            expected = mass @ times[1:]
            np.testing.assert_allclose(found[f"{length:g}"]["w"], expected, rtol=1e-5)


def test_without_an_average_of_its_own_a_state_has_its_weights_alone(tmp_path):
    averaged = make(tmp_path)
    take(averaged, range(5, 21, 5), ema=False)
    assert list(averaged.measured[20]) == [LAST, "0.05", "0.2"]


@pytest.mark.parametrize("saved", [None, 10, 15, 20, 25])
def test_a_run_that_is_taken_up_gives_the_same(whole, tmp_path, saved):
    """Saved by itself every ten steps, or at a signal; the run repeats from step 10."""
    first = make(tmp_path)
    take(first, range(5, (saved or 25) + 1, 5))
    if saved:
        first.save()
    again = make(tmp_path)
    take(again, range(15, 31, 5))
    take(again, [33])
    assert again.measured == whole.measured
    with np.load(tmp_path / FILE) as one, np.load(tmp_path / "whole" / FILE) as other:
        assert one.files == other.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_what_is_done_is_not_measured_again(whole, tmp_path):
    more = make(tmp_path / "whole", at=(*DUE, 35))
    before = dict(more.measured)
    take(more, [33, 35])
    assert {step: more.measured[step] for step in DUE} == before
    assert 35 in more.measured


def test_a_step_that_the_averages_have_passed_is_not_measured(tmp_path):
    """The run repeats from step 10, and is now to be measured after 15 as well."""
    first = make(tmp_path)
    take(first, range(5, 26, 5))
    first.save()
    again = make(tmp_path, at=(15, *DUE))
    with pytest.raises(
        UserError, match=r"at step 25, .* leave step 15 out, or delete .* anew"
    ) as raised:
        take(again, [15])
    assert str(tmp_path) in str(raised.value)
    assert 15 not in again.measured


def test_missing_steps_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"ends at step 0, and the run goes on .* 10:"):
        make(tmp_path)("a GAN", state_at(10))


def test_other_lengths_are_refused(whole, tmp_path):
    with pytest.raises(
        UserError, match=r"of the lengths \[0\.05, 0\.2\], not \[0\.1\]"
    ):
        make(tmp_path / "whole", lengths=(0.1,))


def test_measures_of_another_description_are_refused(tmp_path):
    about = {"num_samples": 9, "features": {"name": "classifier", "sha256": "1f"}}
    make(tmp_path, measured_with=about).save()
    make(tmp_path, measured_with=about)
    make(tmp_path)  # says nothing of it
    for other, message in (
        ({"num_samples": 8}, "measured with num_samples=9, not 8: .* another folder"),
        ({"features": {"name": "classifier", "sha256": "2e"}}, "'1f'.*, not .*'2e'"),
    ):
        with pytest.raises(UserError, match=message):
            make(tmp_path, measured_with=about | other)


def test_a_file_that_does_not_say_what_it_was_measured_with_is_taken_up(tmp_path):
    first = make(tmp_path)
    take(first, range(5, 21, 5))
    again = make(tmp_path, measured_with={"num_samples": 9})
    assert again.measured == first.measured


@pytest.mark.parametrize("damage", ["cut", "text", "about"])
def test_a_damaged_file_is_refused(whole, tmp_path, damage):
    path = tmp_path / "whole" / FILE
    if damage == "about":
        np.savez(path, about=np.array("3"))
    else:
        path.write_bytes({"cut": path.read_bytes()[:-100], "text": b"x"}[damage])
    with pytest.raises(UserError, match=r"damaged .*: delete .*whole to train it anew"):
        make(tmp_path / "whole")
