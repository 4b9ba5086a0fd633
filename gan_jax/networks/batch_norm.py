"""Batch norm, and a single number as its batch: found before it is trained."""

import contextlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from flax import linen as nn

from gan_jax.errors import UserError


def batch_norm(
    *, train: bool, axis_name: str | None, dtype: Any
) -> Callable[[], nn.BatchNorm]:
    """Makes the layers of batch norm of a network that is being called.

    Args:
      train: normalise with the batch's statistics instead of the running averages.
      axis_name: the device axis to average over, None for one device.
      dtype: type of the computation.
    """
    return partial(
        nn.BatchNorm,
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        axis_name=axis_name,
        dtype=dtype,
    )


def refuse_lone_numbers(batch: int) -> contextlib.AbstractContextManager[None]:
    """Inside of it, a layer of batch norm refuses a mean over a single number.

    It would give zero, whatever its input. So does a batch of one image behind a Dense
    layer; behind a convolution, the mean is over the pixels as well.

    Args:
      batch: examples on this device; where there are two or more, no mean is over one.

    Raises:
      UserError: when such a layer is applied or initialised in training.
    """
    if batch > 1:
        return contextlib.nullcontext()
    return nn.intercept_methods(_refuse_lone_number)


def refuse_apart(num_devices: int) -> contextlib.AbstractContextManager[None]:
    """Inside of it, a layer of batch norm without an ``axis_name`` is refused.

    Of several devices each would normalise with its own part of the batch, and keep its
    own running averages: another network than on one device.

    Args:
      num_devices: that share a batch; of one, nothing is refused.

    Raises:
      UserError: when such a layer is applied or initialised.
    """
    if num_devices == 1:
        return contextlib.nullcontext()

    def refuse(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        layer = context.module
        if isinstance(layer, nn.BatchNorm) and layer.axis_name is None:
            raise UserError(
                f"batch norm ({'/'.join(layer.path)}) would see its own part of the"
                f" batch on each of {num_devices} devices: give the network an"
                " attribute axis_name and nn.BatchNorm(axis_name=self.axis_name), or"
                " use --num_devices=1"
            )
        return call(*args, **kwargs)

    return nn.intercept_methods(refuse)


def _refuse_lone_number(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: nn.module.InterceptorContext,
) -> Any:
    layer = context.module
    if isinstance(layer, nn.BatchNorm) and context.method_name == "__call__":
        asked = [*args[1:2], kwargs.get("use_running_average")][0]
        running = layer.use_running_average if asked is None else asked
        if not running and _averaged(layer, args[0].shape) == 1:
            raise UserError(
                f"batch norm over a single number ({'/'.join(layer.path)}) gives zero"
                " whatever its input, and nothing is learnt: use a --batch_size of 2 or"
                " more, or a network without batch norm"
            )
    return call(*args, **kwargs)


def _averaged(layer: nn.BatchNorm, shape: tuple[int, ...]) -> int:
    """How many numbers a mean of batch norm is over, on all devices."""
    axes = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    numbers = math.prod(shape) // math.prod(shape[axis] for axis in axes)
    if layer.axis_name is not None:
        numbers *= jax.lax.axis_size(layer.axis_name)
    return numbers
