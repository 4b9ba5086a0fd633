"""Trains the PyTorch peer for a number of steps and writes samples of it to a file.

`experiments.measure.quality` starts it as ``python -m
experiments.measure.peers.sampler SPEC``, where SPEC is a JSON object: ``recipe`` (of
`gan_jax.recipes`), ``dataset``, ``data_dir``, ``pictures``, ``examples``, ``steps``,
``seed``, ``num_samples`` and ``output``, an .npz file as experiments.sample writes it.
JAX stays out of the process.
"""

import json
import pathlib
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from experiments.measure.peers.pytorch import gan
from gan_jax import data
from gan_jax.errors import UserError
from gan_jax.system.files import whole_file

_BATCH = 500


def train(spec: dict[str, Any], device: torch.device) -> gan.Trainer:
    """The peer after ``spec["steps"]`` steps, in the epochs' shuffled order."""
    recipe = SimpleNamespace(**spec["recipe"])
    dataset = data.load(
        spec["dataset"],
        data_dir=spec["data_dir"],
        pictures=data.Pictures(**spec["pictures"]),
        garments_size=spec["examples"],
    )
    torch.manual_seed(spec["seed"])
    pixels = np.asarray(dataset.images).transpose(0, 3, 1, 2)
    images = torch.tensor(pixels, device=device).contiguous()
    labels = None
    if recipe.conditional:
        labels = torch.tensor(dataset.labels, device=device).long()
    trainer = gan.Trainer(
        recipe, device, shape=dataset.shape, num_classes=dataset.num_classes
    )
    per_epoch = len(images) // (recipe.batch_size * recipe.critic_steps)
    for start in range(0, spec["steps"], per_epoch):
        order = torch.randperm(len(images), device=device)
        steps = min(per_epoch, spec["steps"] - start)
        trainer.train_steps(images, order, 0, steps, recipe.batch_size, labels)
    return trainer


@torch.no_grad()
def draw(
    trainer: gan.Trainer, recipe: SimpleNamespace, num_samples: int
) -> dict[str, np.ndarray]:
    """Samples as `gan_jax.run.sampling.draw` has them: running statistics, classes in
    turns where conditional."""
    generator = trainer.generator.eval()
    device = next(generator.parameters()).device
    images = []
    classes = generator.num_classes or 1
    labels = torch.arange(num_samples, device=device) % classes
    for start in range(0, num_samples, _BATCH):
        part = labels[start : start + _BATCH]
        z = torch.randn(len(part), recipe.latent_size, device=device)
        pixels = generator(z, part) if recipe.conditional else generator(z)
        pixels = torch.round((pixels + 1) * 127.5).clamp(0, 255).to(torch.uint8)
        images.append(pixels.permute(0, 2, 3, 1).cpu().numpy())
    arrays = {"images": np.concatenate(images)}
    if recipe.conditional:
        arrays["labels"] = labels.cpu().numpy().astype(np.int32)
    return arrays


def main() -> None:
    """Trains, draws, writes; a user's mistake is one line and status 2."""
    spec = json.loads(sys.argv[1])
    try:
        _run(spec)
    except UserError as error:
        print(f"sampler: {error}", file=sys.stderr)
        sys.exit(2)


def _run(spec: dict[str, Any]) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe = SimpleNamespace(**spec["recipe"])
    arrays = draw(train(spec, device), recipe, spec["num_samples"])
    with whole_file(pathlib.Path(spec["output"])) as file:
        np.savez_compressed(file, **arrays)


if __name__ == "__main__":
    main()
