import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gan_jax import networks, penalties, recipes, training
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES
from gan_jax.training import averages
from tests import small

LATENT, BATCH = 4, 8


def small_gan(loss="nonsaturating", discriminator=None, **overrides):
    recipe = recipes.recipe(loss, latent_size=LATENT, **overrides)
    return small.gan(recipe, 16, discriminator)


def classes(gan, seed=0):
    """Labels of `points`."""
    key = jax.random.key(seed)
    return jax.random.randint(key, (gan.critic_steps, BATCH), 0, 10)


def points(gan, seed=0):
    return jax.random.normal(jax.random.key(seed), (gan.critic_steps, BATCH, 2)) + 2


def assert_states_differ(a, b):
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(a, b)


# Losses of each kind of step once, every second one conditional; the others are slow.
KINDS = ("nonsaturating", "wasserstein", "wasserstein_gp", "relativistic")


@pytest.mark.parametrize(
    ("loss", "conditional"),
    [
        pytest.param(
            loss,
            bool(which),
            marks=[pytest.mark.slow] * (loss not in KINDS or (i + which) % 2),
        )
        for i, loss in enumerate(LOSSES)
        for which in (0, 1)
    ],
)
def test_a_step_changes_both_networks_and_stays_finite(loss, conditional):
    gan = small_gan(loss, conditional=conditional)
    before = training.init_state(gan, jax.random.key(0), (2,))
    step = jax.jit(partial(training.train_step, gan))
    after, metrics = step(before, points(gan), classes(gan))
    assert_states_differ(before.generator.params, after.generator.params)
    assert_states_differ(before.discriminator.params, after.discriminator.params)
    chex.assert_tree_all_finite((after.generator, after.discriminator, metrics))
    assert int(after.step) == 1
    expected = {"d_loss", "g_loss", "real_logit", "fake_logit"}
    expected |= {"d_gradient_norm", "g_gradient_norm"}
    assert set(metrics) == expected | ({"penalty"} if gan.penalty else set())


def test_a_conditional_step_needs_labels_and_another_leaves_them():
    gan = small_gan(conditional=True)
    state = training.init_state(gan, jax.random.key(0), (2,))
    with pytest.raises(ValueError, match="needs the labels"):
        training.train_step(gan, state, points(gan))
    step = jax.jit(partial(training.train_step, gan))
    assert_states_differ(
        step(state, points(gan), classes(gan))[0].generator,
        step(state, points(gan), classes(gan, seed=1))[0].generator,
    )
    gan = small_gan()
    state = training.init_state(gan, jax.random.key(0), (2,))
    step = jax.jit(partial(training.train_step, gan))
    chex.assert_trees_all_equal(
        step(state, points(gan)), step(state, points(gan), classes(gan))
    )


@pytest.mark.parametrize(
    ("loss", "conditional", "critic_steps"),
    [
        pytest.param("wasserstein_gp", False, 1, marks=pytest.mark.slow),
        ("wasserstein_gp", True, 1),
        ("relativistic", True, 2),
    ],
)
def test_a_step_by_hand_is_train_step(loss, conditional, critic_steps):
    """The discriminator first; the generator then sees the updated one.

    Each of the discriminator's updates has a batch and a key of its own; the generator
    takes the last batch. Where conditional, a fake, and the interpolation to it, have
    the label of the real example.
    """
    paired = loss == "relativistic"
    rule = optax.adam(1e-3, b1=0.5, b2=0.999)
    changes = {"conditional": conditional, "critic_steps": critic_steps}
    if paired:  # a bias that both logits have has no gradient: Adam would step by noise
        rule = optax.sgd(0.1)
        changes |= {"optimiser": "sgd", "generator_lr": 0.1, "discriminator_lr": 0.1}
    gan = small_gan(loss, **changes)
    state = training.init_state(gan, jax.random.key(0), (2,))
    real, labels = points(gan), classes(gan) if conditional else None
    y = [()] * critic_steps if labels is None else [(batch,) for batch in labels]
    critic_key, generator_key = jax.random.split(jax.random.fold_in(state.key, 0))

    def latents(key):
        keys = jax.random.split(key, BATCH)
        return jnp.stack([jax.random.normal(k, (LATENT,)) for k in keys])

    def generate(params, z, y):
        return gan.generator.apply({"params": params}, z, *y)

    def score(params, x, y):
        return gan.discriminator.apply({"params": params}, x, *y)

    def norms(params, x, y):
        """Of the gradient at each example, one after another."""
        slopes = []
        for i, point in enumerate(x):
            label = [c[i : i + 1] for c in y]
            slopes.append(
                jax.grad(lambda p, c=label: score(params, p[None], c)[0])(point)
            )
        return jnp.linalg.norm(jnp.stack(slopes), axis=1)

    def softplus(x):
        return jnp.mean(jnp.log(1 + jnp.exp(x)))

    @jax.jit
    @jax.value_and_grad
    def d_loss(params, real, fake, mix, y):
        real_logits, fake_logits = score(params, real, y), score(params, fake, y)
        if paired:
            squares = [jnp.mean(norms(params, x, y) ** 2) for x in (real, fake)]
            return softplus(fake_logits - real_logits) + sum(squares) / 2
        penalty = (norms(params, mix * fake + (1 - mix) * real, y) - 1) ** 2
        return jnp.mean(fake_logits - real_logits) + 10 * jnp.mean(penalty)

    @jax.jit
    @jax.value_and_grad
    def g_loss(params, d_params):
        fake_logits = score(
            d_params, generate(params, latents(generator_key), y[-1]), y[-1]
        )
        if paired:
            return softplus(score(d_params, real[-1], y[-1]) - fake_logits)
        return -jnp.mean(fake_logits)

    def update(params, gradients, moments):
        updates, moments = rule.update(gradients, moments, params)
        return optax.apply_updates(params, updates), moments

    g_params, d_params = state.generator.params, state.discriminator.params
    moments = rule.init(d_params)
    for i, key in enumerate(jax.random.split(critic_key, critic_steps)):
        latent_key, penalty_key = jax.random.split(key)
        keys = jax.random.split(penalty_key, BATCH)
        mix = jnp.stack([jax.random.uniform(k) for k in keys])[:, None]
        batch = real[i], generate(g_params, latents(latent_key), y[i]), mix, y[i]
        value, gradients = d_loss(d_params, *batch)
        expected = {
            "d_loss": value,
            "real_logit": jnp.mean(score(d_params, real[i], y[i])),
            "fake_logit": jnp.mean(score(d_params, batch[1], y[i])),
        }
        d_params, moments = update(d_params, gradients, moments)
    expected["d_gradient_norm"] = optax.tree.norm(gradients)
    expected["g_loss"], gradients = g_loss(g_params, d_params)
    expected["g_gradient_norm"] = optax.tree.norm(gradients)
    g_params, _ = update(g_params, gradients, rule.init(g_params))
    after, metrics = jax.jit(partial(training.train_step, gan))(state, real, labels)
    chex.assert_trees_all_close(after.discriminator.params, d_params, atol=1e-5)
    chex.assert_trees_all_close(after.generator.params, g_params, atol=1e-5)
    del metrics["penalty"]
    chex.assert_trees_all_close(metrics, expected, rtol=1e-4)


def test_initial_losses_of_the_reference_networks_are_the_published_ones():
    real = training.scale_images(
        jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, 16, 28, 28, 1)))
    )
    for loss, d_loss, g_loss, atol in (  # of eight seeds
        ("nonsaturating", 2 * np.log(2), np.log(2), 0.02),
        ("wasserstein_gp", 9.3, 0.0, 0.15),
    ):
        gan = recipes.make_gan(recipes.recipe(loss))
        state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
        key = jax.random.key(1)
        # Only the losses leave the program, so nothing else of it is compiled.
        d_value = jax.jit(
            lambda *a, g=gan: training.discriminator_gradients(g, *a)[1]["d_loss"]
        )
        g_value = jax.jit(
            lambda *a, g=gan: training.generator_gradients(g, *a)[1]["g_loss"]
        )
        np.testing.assert_allclose(d_value(state, real[0], key), d_loss, atol=atol)
        np.testing.assert_allclose(g_value(state, real[0], key), g_loss, atol=0.02)


def test_clipping_bounds_every_weight_of_the_critic_and_none_of_the_generator():
    gan = small_gan("wasserstein", generator_lr=0.1, discriminator_lr=0.1)
    state = training.init_state(gan, jax.random.key(0), (2,))
    state, _ = jax.jit(partial(training.train_step, gan))(state, points(gan))
    largest = max(
        jnp.max(jnp.abs(p)) for p in jax.tree.leaves(state.discriminator.params)
    )
    np.testing.assert_allclose(largest, 0.01, rtol=1e-6)
    assert (
        max(jnp.max(jnp.abs(p)) for p in jax.tree.leaves(state.generator.params)) > 0.1
    )


def test_critic_steps_update_the_discriminator_that_often_and_the_generator_once():
    gan = small_gan("hinge", critic_steps=3)
    state = training.init_state(gan, jax.random.key(0), (2,))
    state, _ = jax.jit(partial(training.train_step, gan))(state, points(gan))
    assert int(state.discriminator.optimiser[0].count) == 3
    assert int(state.generator.optimiser[0].count) == 1


def test_a_step_is_a_pure_function_of_state_and_batch():
    gan = small_gan("wasserstein_gp")
    state = training.init_state(gan, jax.random.key(0), (2,))
    step = jax.jit(partial(training.train_step, gan))
    chex.assert_trees_all_equal(step(state, points(gan)), step(state, points(gan)))
    later = state.replace(step=state.step + 1)
    assert_states_differ(
        step(state, points(gan))[0].generator, step(later, points(gan))[0].generator
    )


def run_points(gan, state, chunks):
    """train_steps over uint8 'images' of 1 x 2 pixels, in the given chunks."""
    images = np.random.default_rng(0).integers(0, 256, (100, 2)).astype(np.uint8)
    steps = jax.jit(partial(training.train_steps, gan, batch_size=BATCH, capacity=12))
    order = training.epoch_permutation(state.key, 0, len(images))
    log = []
    for n in chunks:
        state, metrics = steps(state, training.Examples(images), order, n, 0)
        log.append({k: v[:n] for k, v in metrics.items()})
    return state, jax.tree.map(lambda *m: np.concatenate(m), *log)


@pytest.mark.parametrize(
    "loss", [pytest.param("nonsaturating", marks=pytest.mark.slow), "wasserstein_gp"]
)
def test_how_a_run_is_cut_into_chunks_changes_no_bit_of_it(loss):
    gan = small_gan(loss, ema_decay=0.9)
    state = training.init_state(gan, jax.random.key(0), (2,))
    whole = run_points(gan, state, [12])
    chex.assert_trees_all_equal(whole, run_points(gan, state, [5, 1, 6]))
    assert int(whole[0].step) == 12
    assert whole[1]["d_loss"].shape == (12,)


def test_an_average_that_grows_is_the_same_before_and_a_power_function_later():
    """Later it is nearly that of Karras et al. 2024 with gamma = 1 / 0.03 - 1."""
    constant = small_gan(ema_decay=0.8)
    before = int(5 / 0.03)  # the average of 5 steps is 3 % of them
    growing = dataclasses.replace(constant, ema_grows_from=before)
    state = training.init_state(growing, jax.random.key(0), (2,))
    chunks = [12] * (before // 12) + [before % 12]
    other = run_points(constant, state, chunks)[0]
    state = run_points(growing, state, chunks)[0]
    chex.assert_trees_all_equal(state, other)

    step = jax.jit(partial(training.train_step, growing))
    short = jax.jit(partial(training.train_step, constant))
    update = jax.jit(averages.update)
    power = jax.tree.map(lambda leaf: leaf[None], state.ema)
    real = points(growing)
    for last in range(before, 4 * before):
        state, other = step(state, real)[0], short(other, real)[0]
        shares = averages.new_shares([1 / 0.03 - 1], last, last + 1)
        weights = (state.generator.params, state.generator.batch_stats)
        power = update(power, weights, shares)
    power = jax.tree.map(lambda leaf: leaf[0], power)

    def apart(ema):
        return float(optax.tree.norm(optax.tree.sub(ema, power)))

    assert apart(state.ema) < 0.1 * apart(other.ema)


def test_a_loop_traces_its_step_once():
    """Tracing is most of what a second start waits for."""
    gan, traced = small_gan(), []

    def discriminator(real, fake):
        traced.append(real.shape)
        return gan.loss.discriminator(real, fake)

    loss = gan.loss._replace(discriminator=discriminator)
    counting = dataclasses.replace(gan, loss=loss)
    run_points(counting, training.init_state(gan, jax.random.key(0), (2,)), [3])
    assert len(traced) == 1


def test_an_epoch_sees_every_example_once():
    key = jax.random.key(3)
    first, second = (training.epoch_permutation(key, e, 50) for e in (0, 1))
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    np.testing.assert_array_equal(np.sort(second), np.arange(50))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, training.epoch_permutation(key, 0, 50))


def test_train_steps_reads_the_batches_of_the_epochs_order():
    gan = small_gan("nonsaturating")
    state = training.init_state(gan, jax.random.key(0), (2,))
    images = np.random.default_rng(0).integers(0, 256, (100, 2)).astype(np.uint8)
    order = training.epoch_permutation(state.key, 0, len(images))
    by_hand = state
    step = jax.jit(partial(training.train_step, gan))
    for i in range(3):
        batch = images[order[i * BATCH : (i + 1) * BATCH]]
        by_hand, _ = step(by_hand, training.scale_images(jnp.asarray(batch))[None])
    looped, _ = run_points(gan, state, [3])
    chex.assert_trees_all_close(looped.generator, by_hand.generator, atol=1e-5)


class Cut(nn.Module):
    """A generator without parameters."""

    @nn.compact
    def __call__(self, z, *, train):
        return z[..., :2]


def test_a_discriminator_trains_against_a_fixed_generator():
    gan = dataclasses.replace(small_gan("hinge"), generator=Cut())
    state = training.init_state(gan, jax.random.key(0), (2,))
    trained, metrics = run_points(gan, state, [2])
    assert_states_differ(trained.discriminator.params, state.discriminator.params)
    np.testing.assert_array_equal(metrics["g_gradient_norm"], 0)


def test_every_image_keeps_its_label_on_its_way_into_a_step():
    """Two critic steps of a batch each: the batches of the order, with their labels."""
    gan = small_gan("nonsaturating", conditional=True, critic_steps=2)
    state = training.init_state(gan, jax.random.key(0), (2,))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (100, 2)).astype(np.uint8)
    labels = rng.integers(0, 10, 100).astype(np.int32)
    order = training.epoch_permutation(state.key, 0, len(images))
    steps = jax.jit(partial(training.train_steps, gan, batch_size=BATCH, capacity=3))
    looped, _ = steps(state, training.Examples(images, labels), order, 3, 0)
    by_hand = state
    step = jax.jit(partial(training.train_step, gan))
    for i in range(3):
        index = order[2 * i * BATCH : 2 * (i + 1) * BATCH].reshape(2, BATCH)
        real = training.scale_images(jnp.asarray(images)[index])
        by_hand, _ = step(by_hand, real, jnp.asarray(labels)[index])
    chex.assert_trees_all_close(looped.generator, by_hand.generator, atol=1e-5)
    wrong = training.Examples(images, np.roll(labels, 1))
    other, _ = steps(state, wrong, order, 3, 0)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_close(looped.generator, other.generator, atol=1e-4)


def test_steps_of_an_epoch_drop_the_remainder_and_count_critic_batches():
    gan = small_gan()
    assert training.steps_per_epoch(gan, 60_000, 64) == 937
    wgan = small_gan("wasserstein")
    assert training.steps_per_epoch(wgan, 60_000, 64) == 187
    with pytest.raises(UserError, match="5 x 64 examples and the data set has 300"):
        training.steps_per_epoch(wgan, 300, 64)


class Spread(nn.Module):
    """Looks at the standard deviation of a batch, as Karras et al. 2018 do."""

    @nn.compact
    def __call__(self, x, train):
        spread = jnp.broadcast_to(jnp.std(x, axis=0).mean(), (*x.shape[:-1], 1))
        return nn.Dense(1)(jnp.concatenate([x, spread], axis=-1))[..., 0]


def test_a_critic_that_mixes_examples_sees_real_and_fake_ones_apart():
    """As it does in the generator's step, and after training."""
    gan = small_gan(discriminator=Spread())
    state = training.init_state(gan, jax.random.key(0), (2,))
    [real] = points(gan)
    gradients = jax.jit(partial(training.discriminator_gradients, gan))
    for batch in (real, jnp.ones_like(real)):  # the second has no deviation
        _, metrics, _ = gradients(state, batch, jax.random.key(1))
        expected = jnp.mean(training.score(gan, state, batch))
        np.testing.assert_allclose(metrics["real_logit"], expected, rtol=1e-5)


def test_a_penalty_put_in_is_a_part_of_the_loss():
    gan = dataclasses.replace(small_gan(), penalty=penalties.PENALTIES["r1"])
    state = training.init_state(gan, jax.random.key(0), (2,))
    [real] = points(gan)
    without = dataclasses.replace(gan, penalty=None)
    (_, metrics, _), (_, plain, _) = (
        jax.jit(partial(training.discriminator_gradients, g))(
            state, real, jax.random.key(1)
        )
        for g in (gan, without)
    )
    expected = plain["d_loss"] + metrics["penalty"]
    np.testing.assert_allclose(metrics["d_loss"], expected, rtol=1e-5)
    assert metrics["penalty"] > 0


class SpreadOrOne(nn.Module):
    """The same, which takes one example as well, as a penalty asks it."""

    @nn.compact
    def __call__(self, x, train):
        spread = jnp.std(x, axis=0).mean() if x.ndim > 1 else jnp.zeros(())
        spread = jnp.broadcast_to(spread, (*x.shape[:-1], 1))
        return nn.Dense(1)(jnp.concatenate([x, spread], axis=-1))[..., 0]


def test_a_penalised_critic_of_ones_own_sees_real_and_fake_ones_apart():
    gan = small_gan("wasserstein_gp", discriminator=SpreadOrOne())
    state = training.init_state(gan, jax.random.key(0), (2,))
    [real] = points(gan)
    gradients = jax.jit(partial(training.discriminator_gradients, gan))
    _, metrics, _ = gradients(state, real, jax.random.key(1))
    expected = jnp.mean(training.score(gan, state, real))
    np.testing.assert_allclose(metrics["real_logit"], expected, rtol=1e-5)


class Norm(nn.Module):
    """Spectral norm, of one's own."""

    @nn.compact
    def __call__(self, x, train):
        return nn.SpectralNorm(nn.Dense(1))(x, update_stats=train)[..., 0]


def test_a_critic_of_ones_own_has_one_spectral_norm_for_real_and_fake_ones():
    gan = small_gan("wasserstein", discriminator=Norm())
    state = training.init_state(gan, jax.random.key(0), (2,))
    real = jnp.zeros((BATCH, 2))
    gradients = jax.jit(partial(training.discriminator_gradients, gan))
    _, _, after = gradients(state, real, jax.random.key(1))
    player = state.discriminator
    apply = jax.jit(partial(training.step.apply, gan.discriminator))
    _, once = apply(player, player.params, real, None)
    chex.assert_trees_all_close(after.discriminator.batch_stats, once, rtol=1e-6)


class BatchNormCritic(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(16)(x))
        return nn.Dense(1)(nn.relu(x))[:, 0]


def test_batch_norm_in_a_penalised_critic_is_refused():
    gan = small_gan("wasserstein_gp", BatchNormCritic())
    with pytest.raises(UserError, match=r"batch norm.*LayerNorm.*--penalty=none"):
        training.init_state(gan, jax.random.key(0), (2,))


def test_batch_norm_in_a_critic_without_penalty_trains():
    gan = small_gan("nonsaturating", BatchNormCritic())
    state = training.init_state(gan, jax.random.key(0), (2,))
    step = jax.jit(partial(training.train_step, gan))
    after, metrics = step(state, points(gan))
    chex.assert_tree_all_finite(metrics)
    assert_states_differ(
        state.discriminator.batch_stats, after.discriminator.batch_stats
    )


class Normalised(nn.Module):
    """Batch norm behind a Dense layer, or over the pixels of an image."""

    pixels: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z, *, train):
        x = nn.Dense(2 * self.pixels)(z).reshape(len(z), self.pixels, 2)
        norm = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name)
        return norm(x).mean(axis=1)


def test_the_moving_average_follows_the_generator_and_its_running_statistics():
    gan = dataclasses.replace(small_gan(ema_decay=0.9), generator=Normalised())
    step = jax.jit(partial(training.train_step, gan))
    after = training.init_state(gan, jax.random.key(0), (2,))
    expected = after.generator.params, after.generator.batch_stats
    for t in range(1, 101):
        after, _ = step(after, points(gan))
        decay = min(0.9, t / (t + 9))  # 0.1 after the first step, 0.9 from the 81st
        expected = jax.tree.map(
            lambda old, new, d=decay: d * old + (1 - d) * new,
            expected,
            (after.generator.params, after.generator.batch_stats),
        )
        if t in (1, 5, 100):
            chex.assert_trees_all_close(after.ema, expected, rtol=1e-4, atol=1e-6)
    z = jnp.ones((3, LATENT))
    samples = training.generate(gan, after, z)
    params, stats = expected

    def made(params, stats):
        variables = {"params": params, "batch_stats": stats}
        return gan.generator.apply(variables, z, train=False)

    np.testing.assert_allclose(samples, made(params, stats), rtol=1e-4, atol=1e-6)
    for others in (
        (after.generator.params, stats),
        (params, after.generator.batch_stats),
    ):
        assert np.abs(samples - made(*others)).max() > 1e-3  # it shows which


def shapes_of_a_step(generator, batch, devices=None):
    """Traces a step on so many examples of each device; computes nothing."""
    gan = dataclasses.replace(small_gan(), generator=generator)
    if devices:
        gan = dataclasses.replace(gan, axis_name="devices")
    state = jax.eval_shape(lambda: training.init_state(gan, jax.random.key(0), (2,)))
    step = partial(training.train_step, gan)
    if devices is None:
        return jax.eval_shape(step, state, jnp.zeros((1, batch, 2)))
    many = jax.vmap(step, in_axes=(None, 0), axis_name="devices")
    return jax.eval_shape(many, state, jnp.zeros((devices, 1, batch, 2)))


@pytest.mark.parametrize(
    ("generator", "batch", "devices"),
    [
        (Normalised(), 1, None),
        (Normalised(), 1, 4),  # each device for itself
        (Normalised(axis_name="devices"), 1, 1),
    ],
)
def test_batch_norm_over_a_single_number_is_refused(generator, batch, devices):
    with pytest.raises(UserError, match=r"single number .*--batch_size of 2 or more"):
        shapes_of_a_step(generator, batch, devices)


@pytest.mark.parametrize(
    ("generator", "batch", "devices"),
    [
        (Normalised(), 2, None),
        (Normalised(pixels=3), 1, None),
        (Normalised(axis_name="devices"), 1, 4),
        (networks.MLPGenerator(hidden=(16,)), 1, None),
    ],
)
def test_batch_norm_over_several_numbers_is_not(generator, batch, devices):
    state, _ = shapes_of_a_step(generator, batch, devices)
    assert state.step.shape == (() if devices is None else (devices,))


def test_a_batch_of_one_is_refused_before_anything_is_compiled():
    gan = recipes.make_gan(recipes.recipe("hinge"))
    with pytest.raises(UserError, match="single number"):
        training.check_batch(gan, 1)
    training.check_batch(gan, 2)
    training.check_batch(small_gan(), 1)  # no batch norm in it


def test_pixels_survive_scaling_and_back():
    pixels = jnp.arange(256, dtype=jnp.uint8)
    scaled = training.scale_images(pixels)
    assert scaled.min() == -1
    assert scaled.max() == 1
    np.testing.assert_array_equal(training.to_uint8(scaled), pixels)
    np.testing.assert_array_equal(
        training.to_uint8(jnp.array([-3.0, 3.0])), np.array([0, 255])
    )


@pytest.mark.parametrize("loss", ["nonsaturating", "wasserstein_gp"])
def test_a_generator_learns_where_the_data_are(loss):
    """Four hundred steps move the mean of the samples to the mean of the data.

    The players circle around it, so the moving average of the generator is asked.
    """
    rates = {"generator_lr": 1e-2, "discriminator_lr": 1e-2}
    gan = small_gan(loss, **rates, ema_decay=0.98)
    state = training.init_state(gan, jax.random.key(0), (2,))
    step = jax.jit(partial(training.train_step, gan))
    for i in range(400):
        state, _ = step(state, points(gan, seed=i) * jnp.array([[[0.5, 0.2]]]))
    z = jax.random.normal(jax.random.key(9), (500, LATENT))
    mean = training.generate(gan, state, z).mean(axis=0)
    np.testing.assert_allclose(mean, [1.0, 0.4], atol=0.15)
