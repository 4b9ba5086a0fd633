"""The PyTorch peer does the work that gan_jax does: same weights, same numbers."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest

from gan_jax import losses, networks, recipes, training

torch = pytest.importorskip("torch")
torch_gan = pytest.importorskip("experiments.measure.peers.pytorch.gan")

CPU = torch.device("cpu")
BATCH = 16


def as_tensors(params):
    """gan_jax's parameters, or gradients, in the peer's order, axes and channels.

    Flax keeps the last axis for channels and PyTorch the first, and a pixel shuffle
    takes channel ``(2 a + b) C + c`` here and ``4 c + 2 a + b`` there.
    """

    def dense(layer):
        return [layer["kernel"].T, layer["bias"]]

    def conv(layer):
        return [layer["kernel"].transpose(3, 2, 0, 1), layer["bias"]]

    def norm(layer):
        return [layer["scale"], layer["bias"]]

    def shuffled(x):  # along the first axis
        return x.reshape(4, -1, *x.shape[1:]).swapaxes(0, 1).reshape(x.shape)

    def spatial(x):  # [rows * columns * 64, ...] to [64, rows * columns, ...]
        return x.reshape(-1, 64, *x.shape[1:]).swapaxes(0, 1)

    p = jax.tree.map(np.asarray, params)
    if "BatchNorm_0" in p:  # the generator

        def after_dense(x):
            return shuffled(spatial(x)).reshape(x.shape)

        arrays = [
            *dense(p["Dense_0"]),
            *norm(p["BatchNorm_0"]),
            *map(after_dense, dense(p["Dense_1"])),
            *map(after_dense, norm(p["BatchNorm_1"])),
            *map(shuffled, conv(p["Conv_0"])),
            *map(shuffled, norm(p["BatchNorm_2"])),
            *conv(p["Conv_1"]),
        ]
    else:
        kernel, bias = dense(p["Dense_0"])
        kernel = spatial(kernel.T).reshape(kernel.T.shape).T
        arrays = [*conv(p["Conv_0"]), *conv(p["Conv_1"]), kernel, bias]
        arrays += dense(p["Dense_1"])
    return [torch.from_numpy(a.copy()) for a in arrays]


def copy_weights(params, network):
    with torch.no_grad():
        parameters = list(network.parameters())
        for parameter, value in zip(parameters, as_tensors(params), strict=True):
            assert parameter.shape == value.shape
            parameter.copy_(value)


def as_nchw(images):
    return torch.from_numpy(np.asarray(images).transpose(0, 3, 1, 2).copy())


@functools.cache
def initial_state(conditional=False):
    """One state and batch for all losses: the networks are the same.

    The batch is one that keeps its distance from ReLU's kink: see the test of it.
    """
    recipe = recipes.recipe("wasserstein_gp", conditional=conditional)
    gan = recipes.make_gan(recipe)
    state = training.init_state(gan, jax.random.key(0), (28, 28, 1))
    keys = jax.random.split(jax.random.key(15), 3)
    z = jax.random.normal(keys[0], (BATCH, gan.latent_size))
    real = jax.random.uniform(keys[1], (BATCH, 28, 28, 1), minval=-1)
    return state, z, real, jax.random.split(keys[2], BATCH)


def setup(loss, conditional=False):
    recipe = recipes.recipe(loss, conditional=conditional)
    state, z, real, keys = initial_state(conditional)
    trainer = torch_gan.Trainer(recipe, CPU)
    copy_weights(state.generator.params, trainer.generator)
    copy_weights(state.discriminator.params, trainer.discriminator)
    z_, real_ = torch.from_numpy(np.array(z)), as_nchw(real)
    return recipes.make_gan(recipe), trainer, (z, z_), (real, real_), keys


LABELS = np.arange(BATCH, dtype=np.int32) % 7


@functools.partial(jax.jit, static_argnums=2)
def draw(player, z, conditional=False):
    variables = {"params": player.params, "batch_stats": player.batch_stats}
    generator = networks.Generator(num_classes=10 if conditional else None)
    labels = (LABELS,) if conditional else ()
    return generator.apply(variables, z, *labels, train=True, mutable="batch_stats")


def test_the_peer_knows_every_loss():
    assert list(torch_gan.LOSSES) == list(losses.LOSSES)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_networks_have_equally_many_parameters(network, conditional):
    params = getattr(initial_state(conditional)[0], network).params
    ours = sum(p.size for p in jax.tree.leaves(params))
    recipe = recipes.recipe("kl", conditional=conditional)
    peer = getattr(torch_gan.Trainer(recipe, CPU), network)
    assert ours == sum(p.numel() for p in peer.parameters())


@pytest.mark.parametrize("shape", [(32, 32, 3), (16, 24, 1)])
def test_networks_of_other_images_agree(shape):
    recipe = recipes.recipe("hinge", conditional=True)
    gan = recipes.make_gan(recipe, shape=shape, num_classes=3)
    state = training.init_state(gan, jax.random.key(0), shape)
    peer = torch_gan.Trainer(recipe, CPU, shape=shape, num_classes=3)
    copy_weights(state.generator.params, peer.generator)
    copy_weights(state.discriminator.params, peer.discriminator)
    z, labels = (
        np.float32(np.random.default_rng(0).normal(size=(6, 64))),
        LABELS[:6] % 3,
    )
    variables = {
        "params": state.generator.params,
        "batch_stats": state.generator.batch_stats,
    }
    images = gan.generator.apply(
        variables, z, labels, train=True, mutable="batch_stats"
    )[0]
    with torch.no_grad():
        its = [torch.from_numpy(z), torch.from_numpy(labels).long()]
        theirs = peer.generator(*its)
        np.testing.assert_allclose(
            theirs, np.asarray(images).transpose(0, 3, 1, 2), atol=1e-4
        )
        scores = gan.discriminator.apply(
            {"params": state.discriminator.params}, images, labels
        )
        theirs = peer.discriminator(as_nchw(images), its[1])
        np.testing.assert_allclose(theirs, scores, atol=1e-4)


def test_generators_agree():
    _, trainer, (z, z_), _, _ = setup("nonsaturating")
    state = initial_state()[0]
    images, updated = draw(state.generator, z)
    with torch.no_grad():
        np.testing.assert_allclose(
            trainer.generator(z_), np.asarray(images).transpose(0, 3, 1, 2), atol=1e-4
        )
    running = updated["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(
        trainer.generator.layers[1].running_mean, running, atol=1e-4
    )


@pytest.mark.parametrize("conditional", [False, True])
def test_rounding_changes_the_sign_of_no_relu_of_the_batch(conditional):
    """It would change a gradient by all that the unit gives; float32 errs by 2e-6."""
    _, trainer, (_, z_), _, _ = setup("nonsaturating", conditional)
    distances = []
    for module in trainer.generator.modules():
        if isinstance(module, torch.nn.ReLU):
            module.register_forward_pre_hook(
                lambda _, inputs: distances.append(inputs[0].abs().min().item())
            )
    labels = (torch.from_numpy(LABELS).long(),) if conditional else ()
    trainer.generator.double()(z_.double(), *labels)
    assert len(distances) == 3
    assert min(distances) > 5e-6


@pytest.mark.parametrize(
    ("loss", "conditional"),
    [(loss, False) for loss in losses.LOSSES]
    + [("nonsaturating", True), ("wasserstein_gp", True), ("relativistic", True)],
)
def test_losses_penalties_and_gradients_agree(loss, conditional):
    gan, trainer, (z, z_), (real, real_), keys = setup(loss, conditional)
    state = initial_state(conditional)[0]
    fake, _ = draw(state.generator, z, conditional)
    labels = LABELS if conditional else None
    labels_ = torch.from_numpy(LABELS).long() if conditional else None
    context = () if labels is None else (labels,)

    @jax.jit
    def discriminator(params):
        def logits(x, *labels):
            return gan.discriminator.apply({"params": params}, x, *labels)

        def critic(x, *label):
            return logits(x[None], *(c[None] for c in label))[0]

        value, penalty = (
            gan.loss.discriminator(logits(real, *context), logits(fake, *context)),
            0.0,
        )
        if gan.penalty is not None:
            penalty = gan.penalty(critic, real, fake, keys, labels)
        value = value + gan.penalty_weight * penalty
        return value, (penalty, logits(real, *context))

    (value, (penalty, logits)), gradients = jax.value_and_grad(
        discriminator, has_aux=True
    )(state.discriminator.params)
    fake_ = as_nchw(fake)
    mix = torch.from_numpy(np.array(jax.vmap(jax.random.uniform)(keys)))
    value_, penalty_ = trainer.discriminator_loss(real_, fake_, mix, labels_)
    value_.backward()
    np.testing.assert_allclose(value_.item(), value, atol=1e-4)
    np.testing.assert_allclose(
        0 if penalty_ is None else penalty_.item(), penalty, atol=1e-4
    )
    with torch.no_grad():
        logits_ = trainer.discriminator(real_, labels_)
    np.testing.assert_allclose(logits_, logits, atol=1e-4)
    assert_gradients_agree(trainer.discriminator, gradients)

    @jax.jit
    def generator(params):
        fake, _ = draw(state.generator.replace(params=params), z, conditional)
        variables = {"params": state.discriminator.params}
        logits = [gan.discriminator.apply(variables, x, *context) for x in (real, fake)]
        return gan.loss.generator(*logits)

    value, gradients = jax.value_and_grad(generator)(state.generator.params)
    value_ = trainer.generator_loss(real_, z_, labels_)
    value_.backward()
    np.testing.assert_allclose(value_.item(), value, atol=1e-4)
    assert_gradients_agree(trainer.generator, gradients)


def assert_gradients_agree(network, gradients):
    expected = as_tensors(gradients)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("loss", ["wasserstein", "wasserstein_gp"])
def test_optimisers_and_clipping_agree(loss, tuned):
    recipe = recipes.recipe(loss)
    gan = recipes.make_gan(recipe)
    trainer = torch_gan.Trainer(recipe, CPU, tuned=tuned)
    start = trainer.discriminator.layers[-1].weight.detach().numpy().copy()
    gradients = np.random.default_rng(0).normal(size=(3, *start.shape))
    params, state = start, gan.discriminator_optimiser.init(start)
    for gradient in gradients.astype(np.float32):
        updates, state = gan.discriminator_optimiser.update(gradient, state)
        params = optax.apply_updates(params, updates)
        trainer.discriminator.layers[-1].weight.grad = torch.from_numpy(gradient)
        trainer._d_optimiser.step()
    np.testing.assert_allclose(
        trainer.discriminator.layers[-1].weight.detach(), params, atol=1e-6
    )


@pytest.mark.parametrize(
    ("loss", "conditional"),
    [(loss, False) for loss in losses.LOSSES] + [("wasserstein_gp", True)],
)
def test_a_step_trains_both_networks(loss, conditional):
    recipe = recipes.recipe(loss, conditional=conditional)
    recipe = dataclasses.replace(recipe, critic_steps=2)
    torch.manual_seed(0)
    trainer = torch_gan.Trainer(recipe, CPU)
    before = [p.detach().clone() for p in parameters(trainer)]
    images = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8)
    labels = torch.arange(40) % 10
    loss = trainer.train_steps(images, torch.randperm(40), 1, 2, 8, labels)
    assert torch.isfinite(loss)
    # The last bias cancels out of real minus fake.
    pairs = zip(before[:-1], parameters(trainer), strict=False)
    assert not any(torch.equal(old, new) for old, new in pairs)
    if recipe.clip is not None:
        largest = max(p.abs().max() for p in trainer.discriminator.parameters())
        assert largest <= recipe.clip


def parameters(trainer):
    return [*trainer.generator.parameters(), *trainer.discriminator.parameters()]


# DCGAN and ResNet


def conv_tensors(params, stats=None):
    """Of a network whose layers are in the peer's order, each by its own rule."""
    found = []
    for name, layer in params.items():
        kernel = np.asarray(layer.get("kernel", 0))
        if name.startswith("Dense"):
            found.append(kernel.T)
        elif name.startswith("ConvT"):
            found.append(kernel[::-1, ::-1].transpose(2, 3, 0, 1))
        elif name.startswith("Conv"):
            found.append(kernel.transpose(3, 2, 0, 1))
        else:
            found.append(np.asarray(layer["scale"]))
        if "bias" in layer:
            found.append(np.asarray(layer["bias"]))
    return [torch.from_numpy(np.array(a)) for a in found]


def in_order(params, network, generator):
    """Layers as the peer has them: by their place in the modules' definition."""
    count = 2  # of doublings of 16 x 16
    if network == "dcgan":
        if generator:
            names = ["Dense_0"]
            for i in range(count):
                names += [f"BatchNorm_{i}", f"Conv_{i}"]
            kinds = {f"Conv_{i}": f"ConvT_{i}" for i in range(count)}
        else:
            names, kinds = ["Conv_0"], {}
            for i in range(1, count):
                norm = next(n for n in params if n.endswith(f"Norm_{i - 1}"))
                names += [f"Conv_{i}", norm]
            names.append("Dense_0")
        return {kinds.get(name, name): params[name] for name in names}
    names = ["Dense_0"] if generator else []
    for i in range(count if generator else count - 1):
        norms = (f"BatchNorm_{2 * i}", f"BatchNorm_{2 * i + 1}") if generator else ()
        first, second, shortcut = (f"Conv_{3 * i + j}" for j in range(3))
        names += [*norms[:1], first, *norms[1:], second, shortcut]
    if generator:
        names += [f"BatchNorm_{2 * count}", f"Conv_{3 * count}"]
    else:
        first = 3 * (count - 1)
        names += [f"Conv_{first + i}" for i in range(4)] + ["Dense_0"]
    return {name: params[name] for name in names}


def channels_first(kernel, rows, columns):
    """A Dense layer before or behind pixels, whose channels the peer has first."""
    shape = kernel.shape
    kernel = kernel.reshape(rows, columns, -1, *shape[1:])
    return np.moveaxis(kernel, 2, 0).reshape(shape)


@pytest.mark.parametrize("penalty", ["none", "r1_r2"])
@pytest.mark.parametrize("network", ["dcgan", "resnet"])
def test_dcgan_and_resnet_agree(network, penalty):
    shape = (16, 16, 3)
    recipe = recipes.recipe(
        "relativistic", network=network, width=8, penalty=penalty, conditional=True
    )
    gan = recipes.make_gan(recipe, shape=shape, num_classes=3)
    state = training.init_state(gan, jax.random.key(0), shape)
    peer = torch_gan.Trainer(recipe, CPU, shape=shape, num_classes=3)
    for player, theirs in (
        (state.generator, peer.generator),
        (state.discriminator, peer.discriminator),
    ):
        generator = theirs is peer.generator
        params = jax.tree.map(np.asarray, player.params)
        if generator:
            for name, leaf in params["Dense_0"].items():
                moved = channels_first(leaf.T, 4, 4).T
                params["Dense_0"][name] = moved
        elif network == "dcgan":
            kernel = params["Dense_0"]["kernel"]
            params["Dense_0"]["kernel"] = channels_first(kernel, 4, 4)
        values = conv_tensors(in_order(params, network, generator))
        with torch.no_grad():
            for parameter, value in zip(theirs.parameters(), values, strict=True):
                assert parameter.shape == value.shape
                parameter.copy_(value)
    rng = np.random.default_rng(0)
    z, labels = np.float32(rng.normal(size=(6, 64))), LABELS[:6] % 3
    variables = {
        "params": state.generator.params,
        "batch_stats": state.generator.batch_stats,
    }
    ours = gan.generator.apply(variables, z, labels, train=True, mutable="batch_stats")[
        0
    ]
    its = [torch.from_numpy(z), torch.from_numpy(labels).long()]
    with torch.no_grad():
        images = peer.generator(*its)
        np.testing.assert_allclose(images, as_nchw(ours), atol=1e-4)
        ours, _ = training.step.apply(
            gan.discriminator,
            state.discriminator,
            state.discriminator.params,
            np.asarray(ours),
            labels,
        )
        np.testing.assert_allclose(peer.discriminator(images, its[1]), ours, atol=1e-3)
