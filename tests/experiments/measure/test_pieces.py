"""The pieces of a step: all of its work, and nothing that is not in it."""

import json

import jax
import pytest

from experiments.measure.peers import machine, pieces
from gan_jax import recipes
from tests.processes.running import call


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["nonsaturating", "wasserstein_gp", "wasserstein"])
def test_the_pieces_have_the_products_of_the_step(loss):
    """By the compiler's count, beside the count by hand that the benchmark takes."""
    recipe = recipes.recipe(loss)
    parts = pieces.pieces_of_a_step(recipes.make_gan(recipe), 64)
    flops = {
        name: count * jax.jit(function).lower(*inputs).cost_analysis()["flops"]
        for name, (function, inputs, count) in parts.items()
        if name != "whole step"
    }
    assert ("penalty" in flops) == (loss == "wasserstein_gp")
    by_hand = machine.step_flops(recipe)
    assert by_hand < sum(flops.values()) < 1.25 * by_hand


@pytest.mark.slow
def test_a_profile_has_a_time_and_a_floor_for_each_piece(tmp_path):
    output = tmp_path / "profile.json"
    flags = ["--loss=nonsaturating", "--batch_size=2", "--rounds=1"]
    name = "experiments.measure.profile_step"
    [called] = call({name: [[*flags, f"--output={output}"]]})[name]
    assert called["status"] == 0, called["stderr"]
    document = json.loads(output.read_text())
    assert document["command"].startswith(f"python -m {name} --loss=nonsaturating")
    [result] = document["results"]
    found = result["pieces"]
    assert all(f"nonsaturating  {name}  " in called["stdout"] for name in found)
    assert result["gflop_per_s"] > 0
    for name, piece in found.items():
        if name != "rest":
            assert piece["ms"] > 0, name
    parts = [piece for name, piece in found.items() if name != "whole step"]
    for key in ("ms", "floor_ms", "gflop", "mb"):
        total = sum(part[key] for part in parts)
        assert total == pytest.approx(found["whole step"][key])
