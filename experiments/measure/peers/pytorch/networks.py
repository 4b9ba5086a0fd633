"""The reference networks in PyTorch: those of `gan_jax.networks`, images as NCHW."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conditional(nn.Module):
    """What may be given labels."""

    def __init__(self, num_classes: int | None) -> None:
        """With labels of so many classes; without any, where None."""
        super().__init__()
        self.num_classes = num_classes


class ConditionalGenerator(Conditional):
    """``[batch, latent]`` to images."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Draws images; ``labels`` is int64 ``[batch]`` where conditional."""
        if labels is not None:
            hot = F.one_hot(labels, self.num_classes)
            z = torch.cat([z, hot.to(z.dtype)], dim=1)
        return self.layers(z)


class ConditionalDiscriminator(Conditional):
    """Images to logits ``[batch]``."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores images; ``labels`` is int64 ``[batch]`` where conditional."""
        return self.logits(self.layers(x), labels)

    def logits(self, scores: Tensor, labels: Tensor | None) -> Tensor:
        """``[batch]``, float32, whatever the layers compute in."""
        scores = scores.float()
        if labels is None:
            return scores[:, 0]
        return (F.one_hot(labels, self.num_classes) * scores).sum(dim=1)


class Generator(ConditionalGenerator):
    """`gan_jax.networks.Generator`: ``[batch, latent]`` to images."""

    def __init__(
        self,
        latent_size: int = 64,
        num_classes: int | None = None,
        shape: Sequence[int] = (28, 28, 1),
    ) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__(num_classes)
        rows, columns, channels = shape[0] // 4, shape[1] // 4, shape[2]
        self.layers = nn.Sequential(
            nn.Linear(latent_size + (num_classes or 0), 512),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Linear(512, 64 * rows * columns),
            nn.BatchNorm1d(64 * rows * columns),
            nn.ReLU(),
            nn.Unflatten(1, (64, rows, columns)),
            nn.PixelShuffle(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.PixelShuffle(2),
            nn.Conv2d(8, channels, 3, padding=1),
        )


class Discriminator(ConditionalDiscriminator):
    """`gan_jax.networks.Discriminator`: images to logits ``[batch]``."""

    def __init__(
        self, num_classes: int | None = None, shape: Sequence[int] = (28, 28, 1)
    ) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__(num_classes)
        rows, columns, channels = shape[0] // 4, shape[1] // 4, shape[2]
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(64 * rows * columns, 512),
            nn.LeakyReLU(0.1),
            nn.Linear(512, num_classes or 1),
        )
