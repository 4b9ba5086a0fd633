"""Products and steps of second order, against dense matrices and NumPy's solvers."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax.losses import LOSSES
from gan_jax.theory import second_order
from gan_jax.theory.second_order import conjugate_gradients, hessian_free

KEYS = jax.random.split(jax.random.key(0), 4)
X = jax.random.normal(KEYS[0], (7, 2))
OUTPUT_LOSSES = {
    "cross-entropy": lambda outputs: optax.softmax_cross_entropy_with_integer_labels(
        outputs["logits"], jnp.arange(7) % 3
    ).mean(),
    "squares": lambda outputs: jnp.mean((outputs["logits"] - 1) ** 2),
    "minimax": lambda outputs: LOSSES["minimax"].discriminator(
        outputs["logits"][:, 0], outputs["logits"][:, 1]
    ),
}


def net(params):
    """42 parameters in a tree, seven examples, three outputs each."""
    hidden = jnp.tanh(X @ params["first"]["w"])
    return {"logits": jnp.tanh(hidden @ params["second"]) @ params["last"]}


def linear(params):
    """The same tree; linear in it."""
    total = X @ params["first"]["w"][:, :3] + params["last"][:1]
    return {"logits": total - 0.5 * params["second"].sum()}


def tree(key):
    shapes = {"first": {"w": (2, 5)}, "second": (5, 4), "last": (4, 3)}
    leaves, structure = jax.tree.flatten(shapes, lambda leaf: isinstance(leaf, tuple))
    keys = jax.random.split(key, len(leaves))
    arrays = [jax.random.normal(k, s) for k, s in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, arrays)


PARAMS, V = tree(KEYS[1]), tree(KEYS[2])


def dense(model, output_loss):
    """Hessian and Gauss-Newton matrix, by finite differences and sums in float64."""
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), PARAMS)
        flat, unravel = ravel_pytree(params)

        @jax.jit
        def outputs(flat):
            return model(unravel(flat))["logits"].ravel()

        def of_outputs(logits):
            return output_loss({"logits": logits.reshape(7, 3)})

        gradient = jax.jit(jax.grad(lambda flat: of_outputs(outputs(flat))))
        steps = 1e-5 * jnp.eye(flat.size)
        hessian = [(gradient(flat + s) - gradient(flat - s)) / 2e-5 for s in steps]
        by_step = [(outputs(flat + s) - outputs(flat - s)) / 2e-5 for s in steps]
        jacobian = jnp.stack(by_step, axis=1)
        at, slope = outputs(flat), jax.jit(jax.grad(of_outputs))
        bends = [
            (slope(at + s) - slope(at - s)) / 2e-5 for s in 1e-5 * jnp.eye(at.size)
        ]
        curved = jacobian.T @ jnp.stack(bends, axis=1) @ jacobian
        return np.asarray(jnp.stack(hessian, axis=1)), np.asarray(curved)


def flatten(value):
    return np.asarray(ravel_pytree(value)[0])


def assert_close(found, expected):
    expected = np.asarray(expected)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name",
    [pytest.param("cross-entropy", marks=pytest.mark.slow), "squares", "minimax"],
)
def test_products_are_those_of_the_dense_matrices(name):
    output_loss = OUTPUT_LOSSES[name]
    hessian, curved = dense(net, output_loss)
    v = flatten(V)

    def loss(params):
        return output_loss(net(params))

    for product in (second_order.hvp, second_order.hvp_reverse):
        assert_close(flatten(product(loss, PARAMS, V)), hessian @ v)
    found = second_order.gauss_newton(net, output_loss, PARAMS)(V)
    chex.assert_trees_all_equal_shapes(found, PARAMS)
    assert_close(flatten(found), curved @ v)
    linearised = second_order.hessian(net, output_loss, PARAMS)
    assert_close(flatten(linearised(V)), hessian @ v)
    # Of the two only one is sure to be positive semi-definite.
    assert np.linalg.eigvalsh(curved).min() > -1e-9
    assert np.linalg.eigvalsh(hessian).min() < -1e-3


@pytest.mark.parametrize("name", OUTPUT_LOSSES)
def test_gauss_newton_is_the_hessian_of_a_linear_model(name):
    output_loss = OUTPUT_LOSSES[name]
    hessian = second_order.hvp(lambda p: output_loss(linear(p)), PARAMS, V)
    curved = second_order.gauss_newton(linear, output_loss, PARAMS)(V)
    chex.assert_trees_all_close(curved, hessian, atol=1e-6)
    assert np.abs(flatten(curved)).max() > 1e-3


def matrix(values, dtype=np.float32):
    """A symmetric one with these eigenvalues; a vector."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((len(values),) * 2))[0]
    vector = rng.standard_normal(len(values))
    return (basis * values @ basis.T).astype(dtype), vector.astype(dtype)


def solve(a, b, **options):
    a, b = jnp.asarray(a), jnp.asarray(b)
    return jax.jit(lambda: conjugate_gradients(lambda v: a @ v, b, **options))()


def test_conjugate_gradients_solve_as_jaxs_own_and_numpys_do():
    a, b = matrix(np.geomspace(0.1, 10, 12))
    found = solve(a, b, tolerance=0.0)
    np.testing.assert_allclose(found.x, np.linalg.solve(a, b), rtol=2e-3, atol=1e-4)
    theirs, _ = jax.scipy.sparse.linalg.cg(lambda v: a @ v, b, tol=1e-6)
    np.testing.assert_allclose(found.x, theirs, rtol=2e-3, atol=1e-4)
    value = found.x @ a @ found.x / 2 - b @ found.x
    np.testing.assert_allclose(found.value, value, rtol=1e-4)
    assert not found.negative
    assert found.least_curvature > 0.09


# Eigenvalues, tolerance; the second goes on until k is a tenth of the steps.
@pytest.mark.parametrize(("least", "tolerance"), [(1e-4, 1e-2), (1e-5, 1e-4)])
def test_they_end_when_progress_is_slow_as_martens_says(least, tolerance):
    with jax.enable_x64(True):
        a, b = matrix(np.geomspace(least, 1, 300), dtype=np.float64)
        taken = int(solve(a, b, tolerance=tolerance, max_steps=900).num_products)

        def value(steps):
            found = solve(a, b, tolerance=0.0, max_steps=steps)
            assert found.num_products == steps
            return found.value

        def is_slow(i):
            k = max(10, i // 10)
            return (value(i) - value(i - k)) / value(i) < k * tolerance

        # By the values of the same steps: rounding decides how many it takes.
        assert is_slow(taken)
        assert not is_slow(taken - 1)
    assert (taken > 150) == (tolerance == 1e-4)


def test_a_start_at_the_solution_is_kept():
    a, b = matrix(np.geomspace(0.5, 2, 6))
    start = jnp.float32(np.linalg.solve(np.float64(a), np.float64(b)))
    found = solve(a, b, start=start, tolerance=0.0)
    assert found.num_products <= 2
    np.testing.assert_allclose(found.x, start, rtol=1e-5)


def test_a_start_that_is_worse_than_nothing_is_not_taken():
    a, b = jnp.diag(jnp.array([2.0, -1.0])), jnp.array([0.0, 1.0])
    start = jnp.array([0.0, -0.7])  # of value 0.455
    found = solve(a, b, start=start)
    assert found.negative
    assert found.value == 0
    np.testing.assert_array_equal(found.x, 0)


def test_columns_of_different_scales_are_solved_as_by_jaxs_own():
    rng = np.random.default_rng(0)
    design = np.float32(rng.standard_normal((100, 4)) * [1, 1, 1, 1000])
    b = design.T @ np.float32(design @ [1, 2, 3, 0.004])
    a = design.T @ design
    found = solve(a, b, tolerance=0.0, max_steps=30)
    np.testing.assert_allclose(found.x[:3], [1, 2, 3], rtol=0.05)


@pytest.mark.parametrize("least", [-2.0, -0.01])
def test_negative_curvature_is_found_and_what_is_had_is_kept(least):
    values = np.array([*np.linspace(1, 3, 9), least])
    a, b = matrix(values)
    found = solve(a, b)
    assert found.negative
    assert found.least_curvature < 0
    assert found.num_products <= len(values)
    # Directions of an indefinite matrix lie between its eigenvalues.
    assert found.least_curvature >= least - 1e-5
    assert found.value <= 0  # never worse than where it began
    expected = found.x @ a @ found.x / 2 - b @ found.x
    np.testing.assert_allclose(found.value, expected, atol=1e-4)


def test_a_flat_direction_is_left_and_is_not_negative():
    found = solve(jnp.diag(jnp.array([2.0, 0.0])), jnp.array([1.0, 1.0]))
    assert not found.negative
    chex.assert_tree_all_finite(found.x)
    singular = solve(jnp.diag(jnp.array([2.0, 0.0])), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(singular.x, [0.5, 0.0], rtol=1e-6)


def test_one_undamped_step_solves_least_squares():
    rng = np.random.default_rng(1)
    a, y = np.float32(rng.standard_normal((30, 6))), np.float32(rng.standard_normal(30))
    optimiser = hessian_free(damping=0.0, tolerance=0.0)
    params = jnp.ones(6)
    functions = {
        "model": lambda p: a @ p,
        "output_loss": lambda outputs: jnp.sum((outputs - y) ** 2) / 2,
    }
    gradients = jax.grad(lambda p: functions["output_loss"](functions["model"](p)))(
        params
    )
    updates, state = optimiser.update(
        gradients, optimiser.init(params), params, **functions
    )
    expected = np.linalg.lstsq(np.float64(a), np.float64(y), rcond=None)[0]
    np.testing.assert_allclose(
        optax.apply_updates(params, updates), expected, atol=1e-5
    )
    np.testing.assert_allclose(state.ratio, 1, rtol=1e-3)
    assert state.damping == 0


def one_step(model, output_loss, params, curvature="gauss_newton", **options):
    optimiser = hessian_free(curvature, **options)

    @jax.jit
    def step(params):
        gradients = jax.grad(lambda p: output_loss(model(p)))(params)
        state = optimiser.init(params)
        functions = {"model": model, "output_loss": output_loss}
        return optimiser.update(gradients, state, params, **functions)

    return step(params)


def test_a_damped_step_is_that_of_the_dense_system():
    output_loss = OUTPUT_LOSSES["squares"]
    updates, state = one_step(net, output_loss, PARAMS, damping=0.3, tolerance=0.0)
    _, curved = dense(net, output_loss)
    gradient = flatten(jax.grad(lambda p: output_loss(net(p)))(PARAMS))
    expected = np.linalg.solve(curved + 0.3 * np.eye(len(gradient)), -gradient)
    np.testing.assert_allclose(flatten(updates), expected, atol=1e-4)
    predicted = gradient @ expected + expected @ curved @ expected / 2
    moved = optax.apply_updates(PARAMS, updates)
    actual = output_loss(net(moved)) - output_loss(net(PARAMS))
    np.testing.assert_allclose(state.ratio, actual / predicted, rtol=1e-3)


# One parameter p: model, loss, start; then ratio, lambda's factor and step by hand.
SCALAR = {
    # f = p^2 / 2: the quadratic is the loss itself.
    "as predicted": (lambda p: p, lambda o: o**2 / 2, 1.0, 1.0, 2 / 3, -1.0),
    # f = sqrt(1 + p^2), B = 5^-1.5: d = -10 promises -4.472, and f rises by 5.826; -5
    # leads to f = 3.16, still more than 2.24, and -2.5 to 1.12.
    "too far": (lambda p: p, lambda o: jnp.sqrt(1 + o**2), 2, -1.3028, 3 / 2, -2.5),
    # f = (p^3)^2 / 2, B = 9: d = -1/3 promises -1/2 + 1/3, and f(2/3) = 0.0439.
    "in between": (lambda p: p**3, lambda o: o**2 / 2, 1.0, 0.9122, 2 / 3, -1 / 3),
}


@pytest.mark.parametrize("name", SCALAR)
def test_damping_follows_actual_over_predicted_decrease(name):
    model, output_loss, start, ratio, factor, step = SCALAR[name]
    params = jnp.float32(start)
    updates, state = one_step(model, output_loss, params, damping=1e-6)
    np.testing.assert_allclose(state.ratio, ratio, rtol=1e-3)
    np.testing.assert_allclose(state.damping, factor * 1e-6, rtol=1e-5)
    np.testing.assert_allclose(updates, step, rtol=1e-3)


def test_at_a_saddle_the_hessian_says_so_and_gauss_newton_does_not():
    def output_loss(outputs):
        return jnp.sum(outputs**2) / 2

    def model(params):  # the loss is (x y - 1)^2 / 2, with a saddle at 0
        return params["x"] * params["y"] - 1

    # Along the gradient, (0.102, -0.204), the curvature is 0.8336.
    params = {"x": jnp.float32(0.2), "y": jnp.float32(-0.1)}
    _, hessian = one_step(model, output_loss, params, "hessian", damping=1e-3)
    assert hessian.negative
    assert hessian.least_curvature < 0
    np.testing.assert_allclose(hessian.damping, 1.5e-3, rtol=1e-6)
    _, other = one_step(model, output_loss, params, damping=1e-3)
    assert not other.negative
    assert other.least_curvature >= -1e-6


def quadratic(scales):
    return {
        "model": lambda p: jnp.asarray(scales) * p,
        "output_loss": lambda outputs: jnp.sum(outputs**2) / 2,
    }


def steps(functions, params, number, optimiser):
    """Params and states after each step."""

    def step(carry, _):
        params, state = carry
        gradients = jax.grad(lambda p: functions["output_loss"](functions["model"](p)))(
            params
        )
        updates, state = optimiser.update(gradients, state, params, **functions)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, state)

    carry = params, optimiser.init(params)
    return jax.jit(lambda: jax.lax.scan(step, carry, None, number)[1])()


def test_nothing_happens_at_the_minimum_however_long():
    params, states = steps(quadratic([1.0, 3.0]), jnp.ones(2), 600, hessian_free())
    np.testing.assert_allclose(params[-1], 0, atol=1e-12)
    assert np.isfinite(states.damping).all()
    assert states.damping.min() > 0
    assert states.damping.max() <= 1


def test_what_is_not_finite_is_not_taken_and_raises_the_damping():
    # -log(p) + p from 3: B = 1 / 9, g = 2 / 3; the whole step, -6, has no loss.
    functions = {"model": lambda p: p, "output_loss": lambda o: o - jnp.log(o)}
    params = jnp.float32(3)
    optimiser = hessian_free(damping=1e-6)
    found, states = steps(functions, params, 1, optimiser)
    assert np.isnan(states.ratio[0])
    np.testing.assert_allclose(states.damping[0], 1.5e-6, rtol=1e-6)
    np.testing.assert_allclose(found[0], 3 - 1.5, rtol=1e-3)  # halved twice
    # A gradient that is infinite moves nothing, and is forgotten.
    state = optimiser.init(params)
    updates, state = optimiser.update(jnp.float32(jnp.inf), state, params, **functions)
    assert updates == 0
    assert state.direction == 0


def test_a_search_begins_where_the_last_one_ended():
    functions = quadratic([1.0, 3.0, 0.3, 2.0, 0.7])
    products = []
    for warm_start in (0.0, 1.0):
        optimiser = hessian_free(damping=0.0, tolerance=0.0, warm_start=warm_start)
        params = jnp.arange(1.0, 6.0)
        state = optimiser.init(params)._replace(direction=-params)  # the solution
        gradients = jax.grad(lambda p: functions["output_loss"](functions["model"](p)))
        _, state = optimiser.update(gradients(params), state, params, **functions)
        products.append(int(state.num_products))
    assert products[0] >= 5
    assert products[1] <= 2


def test_the_state_counts_and_has_no_damping_in_its_curvature():
    # One parameter, B = 4 and lambda = 1: one product and one of the start's residual.
    _, states = steps(quadratic([2.0]), jnp.ones(1), 1, hessian_free())
    np.testing.assert_allclose(states.least_curvature[0], 4, rtol=1e-6)
    assert states.num_products[0] == 2
    assert states.num_losses[0] == 2  # before and after; more where steps are halved
    model, output_loss, start, *_ = SCALAR["too far"]
    _, state = one_step(model, output_loss, jnp.float32(start), damping=1e-6)
    assert state.num_losses == 4


def test_another_curvature_and_no_params_are_refused():
    with pytest.raises(ValueError, match="newton"):
        hessian_free("newton")
    optimiser = hessian_free()
    state = optimiser.init(jnp.ones(1))
    with pytest.raises(ValueError, match="params"):
        optimiser.update(jnp.ones(1), state, **quadratic([1.0]))


def test_it_trains_a_discriminator_with_every_loss():
    names = sorted(set(LOSSES) - {"wasserstein", "wasserstein_gp"})  # no least value
    keys = jax.random.split(KEYS[3])
    real = jax.random.normal(keys[0], (32, 2))
    fake = jnp.array([[1.0, 0.5]]) + jax.random.normal(keys[1], (32, 2))
    optimiser = hessian_free(max_steps=30)

    def model(params):
        def score(x):
            hidden = jnp.tanh(x @ params["first"]["w"])
            return (jnp.tanh(hidden @ params["second"]) @ params["last"])[:, 0]

        return score(real), score(fake)

    def train(index):
        players = [LOSSES[name].discriminator for name in names]

        def output_loss(outputs):
            return jax.lax.switch(index, players, *outputs)

        def step(carry, _):
            params, state = carry
            loss, gradients = jax.value_and_grad(lambda p: output_loss(model(p)))(
                params
            )
            updates, state = optimiser.update(
                gradients, state, params, model=model, output_loss=output_loss
            )
            return (optax.apply_updates(params, updates), state), loss

        start = jax.tree.map(lambda leaf: 0.3 * leaf, PARAMS)
        return jax.lax.scan(step, (start, optimiser.init(start)), None, 30)[1]

    losses = np.asarray(jax.jit(jax.vmap(train))(jnp.arange(len(names))))
    assert np.isfinite(losses).all()
    assert (np.diff(losses, axis=1) <= 1e-6).all()  # never up
    assert (losses[:, -1] < 0.9 * losses[:, 0]).all()
