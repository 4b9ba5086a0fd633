"""DCGAN and ResNet in PyTorch, as they are usually written, and networks by name.

They are those of `gan_jax.networks`. Images are NCHW. Transposed convolutions,
upsampling and average pooling are PyTorch's own layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from experiments.measure.peers.pytorch.networks import (
    ConditionalDiscriminator,
    ConditionalGenerator,
    Discriminator,
    Generator,
)

if TYPE_CHECKING:  # it would import JAX into the process that is measured
    from gan_jax.recipes import Recipe


class DCGANGenerator(ConditionalGenerator):
    """`gan_jax.networks.DCGANGenerator`: ``[batch, latent]`` to images."""

    def __init__(
        self,
        latent_size: int,
        num_classes: int | None,
        shape: Sequence[int],
        width: int = 64,
    ) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__(num_classes)
        count, rows, columns = _sides(shape)
        widths = [width * 2**i for i in reversed(range(count))]
        first = widths[0] * rows * columns
        layers: list[nn.Module] = [
            nn.Linear(latent_size + (num_classes or 0), first, bias=False),
            nn.Unflatten(1, (widths[0], rows, columns)),
        ]
        for before, after in itertools.pairwise(widths):
            layers += [nn.BatchNorm2d(before), nn.ReLU()]
            layers.append(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], shape[2], 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)


class DCGANDiscriminator(ConditionalDiscriminator):
    """`gan_jax.networks.DCGANDiscriminator`: images to logits ``[batch]``."""

    def __init__(
        self,
        num_classes: int | None,
        shape: Sequence[int],
        width: int = 64,
        norm: str = "batch",
    ) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__(num_classes)
        count, rows, columns = _sides(shape)
        layers: list[nn.Module] = [nn.Conv2d(shape[2], width, 4, 2, 1)]
        layers.append(nn.LeakyReLU(0.2))
        for i in range(1, count):
            wide = width * 2**i
            layers.append(nn.Conv2d(wide // 2, wide, 4, 2, 1, bias=False))
            layers.append(_norm(norm, wide))
            layers.append(nn.LeakyReLU(0.2))
        features = width * 2 ** (count - 1) * rows * columns
        layers += [nn.Flatten(), nn.Linear(features, num_classes or 1)]
        self.layers = nn.Sequential(*layers)


def _norm(name: str, channels: int) -> nn.Module:
    if name == "layer":
        return nn.GroupNorm(1, channels, eps=1e-6)  # Flax's epsilon
    return nn.BatchNorm2d(channels)


class _Block(nn.Module):
    """A residual block; ``resample`` is "up", "down" or "none"."""

    def __init__(
        self, before: int, width: int, resample: str, norm: bool, first: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(before, width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        same = resample == "none"
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, width, 1)
        up, pool = nn.Upsample(scale_factor=2), nn.AvgPool2d(2)
        self.up: Callable[[Tensor], Tensor] = up if resample == "up" else nn.Identity()
        self.pool = pool if resample == "down" else nn.Identity()
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm1(x)
        h = self.conv1(self.up(h if self.first else F.relu(h)))
        h = self.pool(self.conv2(F.relu(self.norm2(h))))
        # A 1 x 1 convolution is the same on either side of resampling; here on the
        # side that has fewer pixels.
        return self.up(self.shortcut(self.pool(x))) + h


class ResNetGenerator(ConditionalGenerator):
    """`gan_jax.networks.ResNetGenerator`, below 64 pixels a side."""

    def __init__(
        self,
        latent_size: int,
        num_classes: int | None,
        shape: Sequence[int],
        width: int = 64,
    ) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__(num_classes)
        count, rows, columns = _few_stages(shape)
        self.layers = nn.Sequential(
            nn.Linear(latent_size + (num_classes or 0), width * rows * columns),
            nn.Unflatten(1, (width, rows, columns)),
            *(_Block(width, width, "up", norm=True) for _ in range(count)),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, shape[2], 3, padding=1),
            nn.Tanh(),
        )


class ResNetDiscriminator(ConditionalDiscriminator):
    """`gan_jax.networks.ResNetDiscriminator`, below 64 pixels a side."""

    def __init__(
        self, num_classes: int | None, shape: Sequence[int], width: int = 64
    ) -> None:
        """Layers with PyTorch's own initial weights."""
        super().__init__(num_classes)
        count = _few_stages(shape)[0]
        down = [
            _Block(width if i else shape[2], width, "down", norm=False, first=i == 0)
            for i in range(count - 1)
        ]
        plain = [_Block(width, width, "none", norm=False) for _ in range(2)]
        self.blocks = nn.Sequential(*down, *plain)
        self.last = nn.Linear(width, num_classes or 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Scores images; ``labels`` is int64 ``[batch]`` where conditional."""
        features = F.relu(self.blocks(x)).mean(dim=(2, 3))
        return self.logits(self.last(features), labels)


def _sides(shape: Sequence[int]) -> tuple[int, int, int]:
    """As `gan_jax.networks.stages` has them, which has checked them before."""
    count = (min(shape[:2]) // 4).bit_length() - 1
    return count, shape[0] >> count, shape[1] >> count


def _few_stages(shape: Sequence[int]) -> tuple[int, int, int]:
    found = _sides(shape)
    if found[0] > 3:
        raise ValueError(f"the PyTorch peer has no ResNet for {tuple(shape)}")
    return found


def make_networks(
    recipe: Recipe, classes: int | None, shape: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """The peer's networks of a recipe's name.

    Raises:
      ValueError: it has none of that name.
    """
    latent = recipe.latent_size
    wide = {} if recipe.width is None else {"width": recipe.width}
    if recipe.network == "dcgan":
        norm = "batch" if recipe.penalty == "none" else "layer"
        return (
            DCGANGenerator(latent, classes, shape, **wide),
            DCGANDiscriminator(classes, shape, norm=norm, **wide),
        )
    if recipe.network == "resnet":
        return (
            ResNetGenerator(latent, classes, shape, **wide),
            ResNetDiscriminator(classes, shape, **wide),
        )
    if recipe.network != "reference" or wide:
        raise ValueError(f"the PyTorch peer has no network {recipe.network!r}")
    return Generator(latent, classes, shape), Discriminator(classes, shape)
