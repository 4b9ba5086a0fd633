"""The PyTorch peers as `experiments.measure.benchmark` measures them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from experiments.measure.peers.pytorch import gan, graph
from experiments.measure.peers.worker import (
    NUM_CLASSES,
    Phases,
    RunSteps,
    Spec,
    random_images,
)


def start(spec: Spec, phases: Phases) -> tuple[RunSteps, dict[str, Any]]:
    """A program up to its first step; returns what `jax_programs.start` does."""
    program = spec["program"]
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    fast = spec["recipe"]["precision"] == "tf32"
    torch.set_float32_matmul_precision("high" if fast else "highest")
    torch.backends.cudnn.allow_tf32 = fast
    torch.backends.cudnn.benchmark = program != "eager"  # choose kernels by trying
    torch.manual_seed(0)
    phases.end("import")
    # Always noise: pixel values do not change the time, loading would the memory.
    images = random_images(spec["num_examples"], spec["shape"]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    phases.end("data")
    trainer = gan.Trainer(
        SimpleNamespace(**spec["recipe"]),
        device,
        shape=spec["shape"],
        num_classes=NUM_CLASSES,
        tuned=program != "eager",
        compiled=program == "compiled",
        capturable=program == "graphed",
    )
    order = torch.randperm(len(images), device=device)
    labels = torch.arange(len(images), device=device) % NUM_CLASSES
    phases.end("initialise")
    run_steps = _in_turn(trainer, images, order, spec["batch_size"], labels, program)
    if program in ("compiled", "graphed"):
        run_steps(1)  # compiles on the way
        phases.end("compile")
    run_steps(1)
    phases.end("first step")
    return run_steps, {
        "platform": "gpu" if on_gpu else "cpu",
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "device_memory": torch.cuda.max_memory_allocated if on_gpu else lambda: None,
    }


def _in_turn(
    trainer: gan.Trainer,
    images: torch.Tensor,
    order: torch.Tensor,
    batch_size: int,
    labels: torch.Tensor,
    program: str,
) -> RunSteps:
    """What takes steps, goes on with the data where it stopped, and waits."""
    if program == "graphed":
        graphed = graph.GraphedTrainer(trainer, images, batch_size, labels)
    taken = 0

    def run_steps(num_steps: int) -> float:
        nonlocal taken
        if program == "graphed":
            loss = graphed.train_steps(order, taken, num_steps)
        else:
            loss = trainer.train_steps(
                images, order, taken, num_steps, batch_size, labels
            )
        taken += num_steps
        return loss.item()  # waits for the device

    return run_steps
