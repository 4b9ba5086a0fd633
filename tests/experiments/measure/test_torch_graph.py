"""Replayed steps are the steps of the trainer that was recorded."""

import pytest

from gan_jax import recipes

torch = pytest.importorskip("torch")
torch_gan = pytest.importorskip("experiments.measure.peers.pytorch.gan")
torch_graph = pytest.importorskip("experiments.measure.peers.pytorch.graph")

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def plain(step):
    """In place of a CUDA graph: warms up as one does, then calls."""
    step()
    step()
    return step


def train(recipe, device, capture):
    """The loss and weights after three steps; without ``capture``, of the trainer."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (40, 1, 28, 28), dtype=torch.uint8).to(device)
    labels = torch.arange(40, device=device) % 10
    order = torch.randperm(40).to(device)
    capturable = capture is torch_graph.cuda_graph
    trainer = torch_gan.Trainer(recipe, device, tuned=True, capturable=capturable)
    if capture is None:
        torch.manual_seed(1)
        loss = trainer.train_steps(images, order, 1, 3, 8, labels)
    else:
        graphed = torch_graph.GraphedTrainer(
            trainer, images, 8, labels, capture=capture
        )
        torch.manual_seed(1)
        loss = graphed.train_steps(order, 1, 3)
    networks = (trainer.generator, trainer.discriminator)
    tensors = [t for network in networks for t in network.state_dict().values()]
    return [loss, *tensors]


CASES = [
    ("wasserstein_gp", False),
    ("wasserstein_gp", True),
    ("wasserstein", False),
    ("relativistic", False),
]


@pytest.mark.parametrize(("loss", "conditional"), CASES)
def test_recording_leaves_no_trace_and_buffers_are_read_anew(loss, conditional):
    recipe = recipes.recipe(loss, conditional=conditional)
    cpu = torch.device("cpu")
    for one, other in zip(
        train(recipe, cpu, None), train(recipe, cpu, plain), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("loss", "conditional"), CASES)
def test_a_cuda_graph_trains_as_eager_pytorch(loss, conditional, precision):
    recipe = recipes.recipe(loss, conditional=conditional, precision=precision)
    gpu = torch.device("cuda")
    expected = train(recipe, gpu, None)
    found = train(recipe, gpu, torch_graph.cuda_graph)
    for one, other in zip(expected, found, strict=True):
        # Adam's steps are of 1e-3, whatever the gradient.
        torch.testing.assert_close(one, other, rtol=2e-2, atol=4e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_recorded():
    recipe = recipes.recipe("kl")
    with pytest.raises((RuntimeError, AssertionError)):
        train(recipe, torch.device("cpu"), torch_graph.cuda_graph)


@pytest.mark.parametrize("loss", ["wasserstein_gp", "relativistic"])
def test_bfloat16_is_of_the_networks_alone(loss):
    losses = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        recipe = recipes.recipe(loss, precision=precision)
        trainer = torch_gan.Trainer(recipe, torch.device("cpu"))
        losses[precision] = trainer.train_step(torch.rand(1, 8, 1, 28, 28) * 2 - 1)
        assert losses[precision].dtype == torch.float32
        for optimiser in trainer.optimisers:
            for group in optimiser.param_groups:
                assert {p.dtype for p in group["params"]} == {torch.float32}
    assert losses["float32"] != losses["bfloat16"]
    torch.testing.assert_close(*losses.values(), rtol=0.05, atol=0.02)
