"""The programs of the benchmark train the same GAN, and the floor is of its work."""

import dataclasses
import math
from functools import partial
from typing import ClassVar

import jax
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

from experiments.measure.peers import jax_programs, machine, turns
from experiments.measure.peers.setting import Program, Setting
from gan_jax import recipes, training
from gan_jax.errors import UserError

EXAMPLES = training.Examples(
    np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), dtype=np.uint8),
    np.arange(40, dtype=np.int32) % 10,
)
SHAPE = (28, 28, 1)


@pytest.mark.parametrize(
    ("loss", "conditional"),
    [
        ("nonsaturating", True),
        pytest.param("wasserstein", False, marks=pytest.mark.slow),
    ],
)
def test_a_call_a_step_computes_what_the_loop_does(small_networks, loss, conditional):
    recipe = recipes.recipe(loss, batch_size=4, conditional=conditional)
    devices = jax.devices()[:1]
    examples = jax.device_put(EXAMPLES, devices[0])
    programs = {jax_programs.loop: [1, 3], jax_programs.stepwise: [1, 3]}
    if loss == "nonsaturating":  # of several steps it has the mean, as a line does
        programs[jax_programs.recorded] = [1, 1, 1, 1]
    losses = []
    for program, counts in programs.items():
        run_steps = program(recipe, {"capacity": 3}, examples, devices)()
        first, *_, last = map(run_steps, counts)  # past the end of the data
        losses.append([first, last])
    for others in losses[1:]:
        # WGAN's is a difference of logits of 0.03.
        np.testing.assert_allclose(others, losses[0], rtol=1e-3, atol=1e-5)


def test_many_gans_are_trained_on_several_devices(small_networks):
    recipe = recipes.recipe("nonsaturating", batch_size=4)
    devices = jax.devices()[:2]
    examples = jax.device_put(EXAMPLES)
    spec = {"capacity": 2, "gans": 4}
    run_steps = jax_programs.many_gans(recipe, spec, examples, devices)()
    first, later = run_steps(1), run_steps(2)
    assert math.isfinite(first)
    assert 0 < later != first


class InThisProcess:
    """In place of a `child.Worker`: a program, and what each turn of it compiled."""

    report: ClassVar = {"platform": "cpu"}

    def __init__(self, run_steps, compiled):
        self._run_steps, self._compiled = run_steps, compiled
        self.turns = []

    def run(self, steps):
        self._compiled.clear()
        self._run_steps(steps)
        self.turns.append([*self._compiled])
        return 1.0

    def rates(self):
        return {}


@pytest.fixture
def compiled():
    """The programs that were compiled, by name, while it is there."""
    names = []

    def listen(event, _, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(about.get("fun_name"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield names
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", [*jax_programs.PROGRAMS, "many_gans"])
def test_nothing_is_compiled_in_a_round(name, compiled):
    setting = Setting("nonsaturating", 4, network="mlp", width=8, steps=20, rounds=4)
    spec = {"capacity": setting.steps, "gans": 2}
    program = jax_programs.PROGRAMS.get(name, jax_programs.many_gans)
    examples = jax.device_put(EXAMPLES)
    run_steps = program(setting.recipe(), spec, examples, jax.devices()[:1])()
    run_steps(1)
    assert compiled
    process = InThisProcess(run_steps, compiled)
    list(turns._take_turns(setting, process, {name: (Program(name), process)}))
    assert process.turns[-setting.rounds :] == [[]] * setting.rounds


def product_flops(jaxpr):
    """Of the matrix products in a traced program; scans count as often as they run."""
    flops = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            inner = math.prod(shape[axis] for axis in contracted)
            flops += 2 * inner * math.prod(equation.outvars[0].aval.shape)
        assert equation.primitive.name != "conv_general_dilated"
        for inside in jaxprs_in_params(equation.params):
            flops += product_flops(inside) * equation.params.get("length", 1)
    return flops


# Their products are those of the nonsaturating loss.
SAME = ("minimax", "kl", "hinge", "least_squares")


@pytest.mark.parametrize(
    ("loss", "shape", "width"),
    [
        *((loss, SHAPE, None) for loss in recipes.PUBLISHED if loss not in SAME),
        ("wasserstein_gp", (64, 64, 3), None),
        ("nonsaturating", (32, 48, 3), None),
        ("wasserstein_gp", SHAPE, 32),
    ],
)
def test_the_floors_products_are_those_of_the_traced_step(loss, shape, width):
    recipe = dataclasses.replace(recipes.PUBLISHED[loss], width=width)
    gan = recipes.make_gan(recipe, shape=shape)
    key = jax.eval_shape(partial(jax.random.key, 0))
    state = jax.eval_shape(partial(training.init_state, gan, example_shape=shape), key)
    batch = (recipe.critic_steps, recipe.batch_size, *shape)
    real = jax.ShapeDtypeStruct(batch, "float32")
    traced = jax.jit(partial(training.train_step, gan)).trace(state, real).jaxpr.jaxpr
    used, _ = dce_jaxpr(traced, [True] * len(traced.outvars))
    # Convolutions multiply a column of padding as well, that on blocks of pixels zeros,
    # R1 and R2 score again what the loss has scored; nothing needed may be missing.
    most = 1.2 if loss == "relativistic" else 1.09
    assert 1 <= product_flops(used) / machine.step_flops(recipe, shape) < most


def test_a_step_of_wgan_gp_is_6_4_gflop_and_moves_weights_and_moments_twice():
    recipe = recipes.PUBLISHED["wasserstein_gp"]
    assert machine.step_flops(recipe) == pytest.approx(6.4e9, rel=0.01)
    # Weights and two moments of 3,294,154 numbers, 7,360 of batch norm, two counters.
    numbers = 3 * 3294154 + 7360 + 2
    assert machine.step_bytes(recipe) == 2 * 4 * numbers


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        ({}, {"flops": 8, "bytes": 4}),
        # Each of the devices moves all of its copy of the weights.
        ({"devices": 4}, {"flops": 2, "bytes": 4}),
        ({"devices": 4, "gans": 8}, {"flops": 2, "bytes": 1}),
    ],
)
def test_devices_share_the_bytes_of_the_floor_where_they_share_gans(shared, expected):
    work, rates = {"flops": 800.0, "bytes": 40.0}, {"flops": 100.0, "bytes": 10.0}
    assert machine.floor_terms(work, rates, **shared) == expected


# Other networks than the reference ones


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({"network": "mlp"}, "--network=mlp"),
        ({"network": "r3gan"}, "--network=r3gan"),
        ({"width": 8}, "--network=reference --width=8"),
        (
            {"network": "resnet", "shape": (64, 64, 3)},
            "--network=resnet of such a size",
        ),
        ({"loss": "mine.py:LOSS"}, "--loss=mine.py:LOSS"),
    ],
)
def test_what_the_peers_do_not_have_is_refused(changed, missing, tmp_path, monkeypatch):
    code = "from gan_jax.losses import LOSSES\nLOSS = LOSSES['hinge']\n"
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"no {missing} in PyTorch: leave"):
        Setting(**changed).check()
    Setting(**changed, peers=("stepwise",)).check()


def test_operations_of_other_networks_count_every_critic_step():
    one, five = (
        machine.step_flops(
            recipes.recipe("hinge", network="mlp", width=8, critic_steps=n), (8, 8, 1)
        )
        for n in (1, 5)
    )
    assert 2 < five / one < 5  # the rest is the generator
