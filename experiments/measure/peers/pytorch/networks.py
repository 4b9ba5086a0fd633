"""The reference networks in PyTorch: those of `gan_jax.networks`, images as NCHW."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.measure.peers.worker import NUM_CLASSES


class Generator(nn.Module):
    """`gan_jax.networks.Generator`: ``[batch, latent]`` to ``[batch, 1, 28, 28]``."""

    def __init__(self, latent_size: int = 64, *, conditional: bool = False) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent_size + NUM_CLASSES * conditional, 512),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Linear(512, 64 * 7 * 7),
            nn.BatchNorm1d(64 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.PixelShuffle(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.PixelShuffle(2),
            nn.Conv2d(8, 1, 3, padding=1),
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Draws images; ``labels`` is int64 ``[batch]`` where conditional."""
        if labels is not None:
            z = torch.cat([z, F.one_hot(labels, NUM_CLASSES).to(z.dtype)], dim=1)
        return self.layers(z)


class Discriminator(nn.Module):
    """`gan_jax.networks.Discriminator`: ``[batch, 1, 28, 28]`` to ``[batch]``."""

    def __init__(self, *, conditional: bool = False) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 512),
            nn.LeakyReLU(0.1),
            nn.Linear(512, NUM_CLASSES if conditional else 1),
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores images; ``labels`` is int64 ``[batch]`` where conditional.

        The logits are float32, whatever the layers compute in.
        """
        scores = self.layers(x).float()
        if labels is None:
            return scores[:, 0]
        return (F.one_hot(labels, NUM_CLASSES) * scores).sum(dim=1)
