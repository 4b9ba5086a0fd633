"""PyTorch's training step as one CUDA graph: recorded once, then replayed.

A graph replays the same kernels on the same memory, so that the processor has one call
to make instead of hundreds. What changes between steps is written into buffers that
stay where they are: here the numbers of the examples, which the graph gathers itself.
https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
"""

from collections.abc import Callable

import torch
from torch import Tensor

from experiments.measure.peers.pytorch.gan import Trainer

Step = Callable[[], None]
_WARM_UP = 3  # steps that libraries choose kernels in and optimisers allocate in


def cuda_graph(step: Step) -> Step:
    """Takes a few steps, then records one.

    Args:
      step: reads and writes the same memory whenever it is called.

    Returns:
      What replays the recorded step.
    """
    # One stream for both: PyTorch remembers on which a gradient was accumulated.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        step()
    return graph.replay


class GraphedTrainer:
    """Takes the steps of a `Trainer` by replaying one of them."""

    def __init__(
        self,
        trainer: Trainer,
        images: Tensor,
        batch_size: int,
        labels: Tensor | None = None,
        *,
        capture: Callable[[Step], Step] = cuda_graph,
    ) -> None:
        """Records a step; weights and optimisers are then those of before.

        Args:
          trainer: as it was built, ``capturable``.
          images: uint8, ``[examples, channels, height, width]``, on the device.
          batch_size: examples of a batch.
          labels: int64, ``[examples]``; not used unless conditional.
          capture: takes a step and returns what repeats it; it may call it before.
        """
        self._trainer = trainer
        self._batch_size = batch_size
        order = torch.arange(len(images), device=images.device)
        (first,) = trainer.batches(order, 0, 1, batch_size)
        self._index = first.clone()
        self._loss = torch.zeros((), device=images.device)

        def step() -> None:
            self._loss.copy_(trainer.step_on(images, self._index, labels))

        networks = (trainer.generator, trainer.discriminator)
        tensors = [t for network in networks for t in network.state_dict().values()]
        saved = [tensor.clone() for tensor in tensors]
        self._replay = capture(step)
        for tensor, value in zip(tensors, saved, strict=True):
            tensor.copy_(value)
        for optimiser in trainer.optimisers:  # they start from zeros
            for state in optimiser.state.values():
                for tensor in state.values():
                    tensor.zero_()

    def train_steps(self, order: Tensor, step: int, num_steps: int) -> Tensor:
        """Takes steps as `Trainer.train_steps` does; returns the last loss."""
        batches = self._trainer.batches(order, step, num_steps, self._batch_size)
        for index in batches:
            self._index.copy_(index)
            self._replay()
        return self._loss
