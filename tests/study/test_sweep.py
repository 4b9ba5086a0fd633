"""A line of text becomes GANs, each of them the one that experiments.train makes."""

import dataclasses
import math

import numpy as np
import pytest

from gan_jax import recipes
from gan_jax.errors import UserError
from gan_jax.study import sweep


def expand(text, losses=("hinge",), **how):
    return sweep.expand(losses, "published", sweep.parse(text), **how)


def test_lists_ranges_and_grids_are_combined_seeds_last():
    runs = expand(
        "penalty:r1,penalty_weight:1|10,generator_lr:1e-4..1e-2:log:3,seed:4..5"
    )
    found = [
        (run.recipe.penalty_weight, run.recipe.generator_lr, run.seed) for run in runs
    ]
    expected = [
        (weight, rate, seed)
        for weight in (1.0, 10.0)
        for rate in (1e-4, 1e-3, 1e-2)
        for seed in (4, 5)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert runs[0].recipe.penalty == "r1"
    assert not runs[0].drawn


def test_a_linear_grid_has_equal_steps():
    rates = sweep.parse("beta1:0..0.8:linear:5")["beta1"]
    np.testing.assert_allclose(rates, [0, 0.2, 0.4, 0.6, 0.8], rtol=1e-12)


def test_each_run_is_what_train_makes_of_the_same_flags():
    [run] = expand("critic_steps:3,generator_lr:2e-4,seed:7", conditional=True)
    same = recipes.recipe(
        "hinge", "published", conditional=True, critic_steps=3, generator_lr=2e-4
    )
    assert (run.recipe, run.seed) == (same, 7)


def test_without_a_sweep_there_is_the_recipe_with_seed_0():
    [run] = expand("")
    assert (run.recipe, run.seed) == (recipes.recipe("hinge"), 0)


def test_what_is_drawn_is_log_uniform_or_uniform():
    runs = expand("generator_lr:1e-4..1e-2:log,beta1:0..0.5:linear,seed:0..3999")
    logs = np.log10([run.recipe.generator_lr for run in runs])
    betas = np.array([run.recipe.beta1 for run in runs])
    for values, low, high in ((logs, -4, -2), (betas, 0, 0.5)):
        shares = np.sort((values - low) / (high - low))
        uniform = (np.arange(4000) + 0.5) / 4000
        # Kolmogorov-Smirnov: above 1.95 / sqrt(n) once in a thousand.
        assert np.abs(shares - uniform).max() < 1.95 / math.sqrt(4000)
    assert abs(np.corrcoef(logs, betas)[0, 1]) < 0.05
    assert runs[0].drawn == ("generator_lr", "beta1")


def test_a_larger_sweep_holds_the_smaller_one_and_losses_draw_alike():
    text = "generator_lr:1e-4..1e-2:log,seed:"
    few, many = expand(text + "0..3"), expand(text + "0..9", ("hinge", "kl"))
    assert many[:4] == few
    rates = [[r.recipe.generator_lr for r in part] for part in (many[:10], many[10:])]
    assert rates[0] == rates[1]
    assert len(set(rates[0])) == 10
    assert expand(text + "0..3", draw_seed=1) != few


def test_one_program_trains_what_differs_in_real_numbers_and_seeds():
    runs = expand(
        "critic_steps:1|2,generator_lr:1e-4..1e-2:log,seed:0..2", ("kl", "hinge")
    )
    programs = sweep.programs(runs)
    assert [(p.recipe.loss, p.recipe.critic_steps) for p in programs] == [
        ("kl", 1),
        ("kl", 2),
        ("hinge", 1),
        ("hinge", 2),
    ]
    for program in programs:
        assert program.names == ("generator_lr",)
        assert len(program.runs) == 3
        for run in program.runs:
            rate = {"generator_lr": run.recipe.generator_lr}
            assert dataclasses.replace(program.recipe, **rate) == run.recipe


def test_no_average_and_an_average_are_two_programs():
    runs = [
        *expand("ema_decay:0.9|0.99"),
        *expand("seed:1"),  # of the published recipe: none
    ]
    assert [len(p.runs) for p in sweep.programs(runs)] == [2, 1]


def test_a_number_that_all_share_is_a_constant():
    [program] = sweep.programs(expand("generator_lr:1e-3,seed:0..3"))
    assert program.names == ()


def test_rows_of_a_table_have_the_listed_numbers_and_not_the_drawn_ones():
    runs = expand("penalty:r1,penalty_weight:1|3,generator_lr:1e-4..1e-2:log,seed:0..1")
    groups = {run.group() for run in runs}
    assert groups == {
        ("hinge", ("penalty", "r1"), ("penalty_weight", weight))
        for weight in (1.0, 3.0)
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("generator_lr", "has no values"),
        ("generator_lr:", "has no values"),
        ("generator_lr:1e-4..", "is no range"),
        ("generator_lr:1..2..3:log", "is no range"),
        ("generator_lr:1e-4..1e-2", "is no range of real numbers"),
        ("generator_lr:1e-4..1e-2:loud", "is no range of real numbers"),
        ("generator_lr:1e-4..1e-2:log:1", "at least 2"),
        ("generator_lr:1e-4..1e-2:log:x", "at least 2"),
        ("generator_lr:1e-2..1e-4:log", "goes down"),
        ("beta1:0..0.5:log", "has no logarithm"),
        ("generator_lr:fast", "'fast', which is no number"),
        ("generator_lr:nan", "not finite"),
        ("seed:1.5", "'1.5', which is no whole number"),
        ("seed:-1", "outside of 0"),
        ("seed:0..3:log", "have no scale"),
        ("seed:0..4000000", "more than 100000 values"),
        ("seed:1|1", "a value twice"),
        ("seed:1,seed:2", "names seed twice"),
        ("sead:1", "unknown number of a sweep 'sead'; did you mean 'seed'"),
        ("clip:0.1", "contradicts --loss=hinge"),
        (
            "penalty_weight:1",
            "hinge with penalty_weight:1.0: .* without a penalty",
        ),
        ("penalty:r3", "unknown penalty 'r3'"),
        ("generator_lr:-1", "must be above 0"),
        ("seed:0..99999,generator_lr:1|2", "200000 GANs"),
    ],
)
def test_what_makes_no_sense_is_one_line_that_says_why(text, line):
    with pytest.raises(UserError, match=line) as error:
        expand(text)
    assert "\n" not in str(error.value)


def test_names_and_truths_are_swept_too():
    axes = sweep.parse(
        "network:reference|mine.py:G,D|a.b:G,D,spectral_norm:true|false,width:32|64,"
        "schedule:cosine,penalty:r1|mine.py:own,seed:0..1"
    )
    assert axes["network"] == ("reference", "mine.py:G,D", "a.b:G,D")
    assert axes["spectral_norm"] == (True, False)
    assert axes["penalty"] == ("r1", "mine.py:own")
    assert (axes["width"], axes["seed"]) == ((32, 64), (0, 1))
    runs = expand(
        "network:dcgan|resnet,mirror:true,augment:diffaugment", ("mine.py:L",)
    )
    assert [run.recipe.network for run in runs] == ["dcgan", "resnet"]
    assert all(run.recipe.mirror for run in runs)
    assert len(sweep.programs(runs)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mirror:yes", "'yes', which is neither true nor false"),
        ("network:dcgna", "did you mean 'dcgan'"),
        ("network:mine.py:G", "names one network, .*: write mine.py:Generator,Disc"),
        ("width:32..33:log", "whole numbers"),
        ("network:r3gan,width:12", "loss hinge with network:r3gan, width:12: .*of 8"),
    ],
)
def test_a_name_that_cannot_be_swept_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        expand(text)
