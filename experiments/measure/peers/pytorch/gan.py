"""The same GANs in PyTorch: what the benchmark measures gan_jax against.

The reference networks, every loss with its penalty, clipping and optimisers, in the
way that is fast there: images as NCHW, library convolutions, real and fake images
through the discriminator as one batch, no gradient that is not used. One `train_step`
does the work of one `gan_jax.training.train_step`, less the gradient norms that the
latter reports. With bfloat16 the networks run under autocast, which like gan_jax keeps
weights, optimisers and losses in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.measure.peers.pytorch.convnets import make_networks

if TYPE_CHECKING:  # it would import JAX into the process that is measured
    from gan_jax.recipes import Recipe

softplus = F.softplus

# (real_logits, fake_logits) -> scalar: what the discriminator and the generator
# minimise. A generator that looks at real logits is marked in `USES_REAL`.
PlayerLoss = Callable[[Tensor, Tensor], Tensor]


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return (softplus(-real) + softplus(fake)).mean()


def _wasserstein(real: Tensor, fake: Tensor) -> Tensor:
    return (fake - real).mean()


def _minus_logit(real: Tensor, fake: Tensor) -> Tensor:
    return -fake.mean()


LOSSES: dict[str, tuple[PlayerLoss, PlayerLoss]] = {
    "minimax": (_cross_entropy, lambda real, fake: -softplus(fake).mean()),
    "nonsaturating": (_cross_entropy, lambda real, fake: softplus(-fake).mean()),
    "kl": (_cross_entropy, _minus_logit),
    "wasserstein": (_wasserstein, _minus_logit),
    "wasserstein_gp": (_wasserstein, _minus_logit),
    "hinge": (
        lambda real, fake: (F.relu(1 - real) + F.relu(1 + fake)).mean(),
        _minus_logit,
    ),
    "least_squares": (
        lambda real, fake: ((real - 1) ** 2 + fake**2).mean() / 2,
        lambda real, fake: ((fake - 1) ** 2).mean() / 2,
    ),
    "relativistic": (
        lambda real, fake: softplus(fake - real).mean(),
        lambda real, fake: softplus(real - fake).mean(),
    ),
}
USES_REAL = ("relativistic",)
PENALTIES = ("none", "gradient_penalty", "r1_r2")


def input_gradients(
    discriminator: nn.Module, points: Tensor, labels: Tensor | None = None
) -> Tensor:
    """Each example's gradient of its own logit, flattened: ``[batch, pixels]``."""
    points = points.detach().requires_grad_(True)
    logits = discriminator(points, labels)
    (gradients,) = torch.autograd.grad(logits.sum(), points, create_graph=True)
    return gradients.flatten(1)


def gradient_penalty(
    discriminator: nn.Module,
    real: Tensor,
    fake: Tensor,
    mix: Tensor,
    labels: Tensor | None = None,
) -> Tensor:
    """WGAN-GP's penalty at ``mix * fake + (1 - mix) * real``; ``mix`` is [batch]."""
    mix = mix[:, None, None, None]
    gradients = input_gradients(discriminator, mix * fake + (1 - mix) * real, labels)
    return ((gradients.norm(dim=1) - 1) ** 2).mean()


class Trainer:
    """Two networks, their optimisers, and the step that trains them.

    Attributes:
      generator: in training mode.
      discriminator: in training mode.
      optimisers: the generator's, the discriminator's.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        *,
        shape: Sequence[int] = (28, 28, 1),
        num_classes: int = 10,
        tuned: bool = False,
        compiled: bool = False,
        capturable: bool = False,
    ) -> None:
        """Builds networks and optimisers.

        Args:
          recipe: the numbers.
          device: where to train.
          shape: of an image, height, width and channels.
          num_classes: of the labels, where conditional.
          tuned: take PyTorch's fastest implementation of the optimiser and layout of
            the weights, which are not its defaults.
          compiled: run the networks through ``torch.compile``.
          capturable: let a CUDA graph hold the optimisers' steps.
        """
        if recipe.penalty not in PENALTIES:
            raise ValueError(f"the PyTorch peer has no penalty {recipe.penalty!r}")
        self._recipe = recipe
        self._device = device
        self._d_loss, self._g_loss = LOSSES[recipe.loss]
        classes = num_classes if recipe.conditional else None
        generator, discriminator = make_networks(recipe, classes, shape)
        self.generator = generator.to(device)
        self.discriminator = discriminator.to(device)
        norms = (nn.BatchNorm1d, nn.BatchNorm2d)
        self._apart = any(isinstance(m, norms) for m in discriminator.modules())
        if tuned:
            self.generator.to(memory_format=torch.channels_last)
            self.discriminator.to(memory_format=torch.channels_last)
        if compiled:
            self.generator.compile()
            self.discriminator.compile()

        def optimiser(network: nn.Module, lr: float) -> torch.optim.Optimizer:
            ways: dict[str, Any] = {"capturable": capturable}
            if recipe.optimiser == "adam":
                ways["betas"] = (recipe.beta1, recipe.beta2)
                if tuned:
                    ways["fused"] = True
                return torch.optim.Adam(network.parameters(), lr, **ways)
            if tuned:
                ways["foreach"] = True  # it has no fused form
            return torch.optim.RMSprop(network.parameters(), lr, **ways)

        self._g_optimiser = optimiser(self.generator, recipe.generator_lr)
        self._d_optimiser = optimiser(self.discriminator, recipe.discriminator_lr)
        self.optimisers = (self._g_optimiser, self._d_optimiser)

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        mix: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The discriminator's loss, penalty included, and the penalty alone.

        Args:
          real: ``[batch, channels, height, width]``.
          fake: the same, detached.
          mix: place of each example's interpolation in [0, 1], ``[batch]``; drawn
            when None.
          labels: of real and fake alike, int64 ``[batch]``, where conditional.
        """
        recipe = self._recipe
        if self._apart:  # statistics of real images and of generated ones
            return self._d_loss(
                self.discriminator(real, labels), self.discriminator(fake, labels)
            ), None
        both = torch.cat([real, fake])
        # R1 and R2 take the gradients of the logits that the loss needs anyway.
        shared = recipe.penalty == "r1_r2"
        twice = None if labels is None else torch.cat([labels, labels])
        logits = self.discriminator(both.requires_grad_(shared), twice)
        loss = self._d_loss(*logits.chunk(2))
        if recipe.penalty == "none":
            return loss, None
        if shared:
            (gradients,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
            penalty = gradients.square().sum() / (2 * len(real))
        else:
            if mix is None:
                mix = torch.rand(len(real), device=self._device)
            penalty = gradient_penalty(self.discriminator, real, fake, mix, labels)
        return loss + recipe.penalty_weight * penalty, penalty

    def generator_loss(
        self, real: Tensor, z: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """The generator's loss, of real images and latents."""
        fake_logits = self.discriminator(self.generator(z, labels), labels)
        real_logits = fake_logits.detach()  # for the losses that do not look at it
        if self._recipe.loss in USES_REAL:
            with torch.no_grad():
                real_logits = self.discriminator(real, labels)
        return self._g_loss(real_logits, fake_logits)

    def _autocast(self) -> torch.autocast:
        enabled = self._recipe.precision == "bfloat16"
        return torch.autocast(self._device.type, torch.bfloat16, enabled=enabled)

    def _latents(self, batch: int) -> Tensor:
        return torch.randn(batch, self._recipe.latent_size, device=self._device)

    def train_step(self, real: Tensor, labels: Tensor | None = None) -> Tensor:
        """``critic_steps`` discriminator updates, then one of the generator.

        Args:
          real: pixels in [-1, 1], ``[critic_steps, batch, channels, height, width]``.
          labels: int64, ``[critic_steps, batch]``, where conditional.

        Returns:
          The discriminator's last loss, a scalar.
        """
        recipe = self._recipe
        batch = real.shape[1]
        context = [None] * len(real) if labels is None else labels
        for images, classes in zip(real, context, strict=True):
            with self._autocast():
                with torch.no_grad():
                    fake = self.generator(self._latents(batch), classes)
                loss, _ = self.discriminator_loss(images, fake, labels=classes)
            self._d_optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._d_optimiser.step()
            if recipe.clip is not None:
                with torch.no_grad():
                    for parameter in self.discriminator.parameters():
                        parameter.clamp_(-recipe.clip, recipe.clip)
        self.discriminator.requires_grad_(False)  # only the generator's are needed
        self._g_optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            g_loss = self.generator_loss(real[-1], self._latents(batch), context[-1])
        g_loss.backward()
        self._g_optimiser.step()
        self.discriminator.requires_grad_(True)
        return loss.detach()

    def train_steps(
        self,
        images: Tensor,
        order: Tensor,
        step: int,
        num_steps: int,
        batch_size: int,
        labels: Tensor | None = None,
    ) -> Tensor:
        """Takes steps through the data in the given order, from its start again at
        its end.

        Args:
          images: uint8, ``[examples, channels, height, width]``, on the device.
          order: a permutation of the examples, on the device.
          step: steps taken before.
          num_steps: steps to take.
          batch_size: examples of a batch.
          labels: int64, ``[examples]``; not used unless conditional.

        Returns:
          The discriminator's last loss, a scalar.
        """
        for index in self.batches(order, step, num_steps, batch_size):
            loss = self.step_on(images, index, labels)
        return loss

    def batches(
        self, order: Tensor, step: int, num_steps: int, batch_size: int
    ) -> Iterator[Tensor]:
        """The examples of each step of `train_steps`: ``[critic_steps, batch]``."""
        shape = (self._recipe.critic_steps, batch_size)
        consumed = shape[0] * shape[1]
        per_epoch = len(order) // consumed
        for i in range(step, step + num_steps):
            start = i % per_epoch * consumed
            yield order[start : start + consumed].reshape(shape)

    def step_on(
        self, images: Tensor, index: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """`train_step` on the examples of one of `batches`."""
        classes = labels[index] if self._recipe.conditional else None
        return self.train_step(images[index].float() / 127.5 - 1, classes)
