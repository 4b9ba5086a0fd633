"""Which devices there are, and how a batch is shared between them."""

import jax

from gan_jax.errors import UserError
from gan_jax.system import processor


def find_devices() -> list[jax.Device]:
    """All devices, of all processes.

    Raises:
      UserError: JAX cannot start where `JAX_PLATFORMS` says that it should.
    """
    try:
        return jax.devices()
    except Exception as error:  # of several kinds: for cuda, JAX asserts a device
        platforms = jax.config.jax_platforms
        named = f"JAX_PLATFORMS={platforms}" if platforms else "what is there"
        why = str(error).partition("(set")[0].strip() or type(error).__name__
        raise UserError(
            f"JAX cannot start on {named} ({why}): install the JAX that supports it and"
            " its driver, or unset JAX_PLATFORMS and use the devices that are there"
        ) from error


def choose_devices(num_devices: int | None) -> list[jax.Device]:
    """The first ``num_devices`` devices (None: all, of all processes).

    Raises:
      UserError: there are fewer, or none of the kind that was asked for; or a part of
        the devices of several processes.
    """
    devices = find_devices()
    if num_devices is None:
        return devices
    if not 1 <= num_devices <= len(devices):
        raise UserError(
            f"--num_devices={num_devices}, and this machine has {len(devices)}"
            f" ({devices[0].platform})"
        )
    if jax.process_count() > 1 and num_devices < len(devices):
        raise UserError(
            f"--num_devices={num_devices} leaves out some of the {len(devices)} devices"
            " of all processes: leave it out instead"
        )
    return devices[:num_devices]


def local_batch_size(batch_size: int, num_devices: int) -> int:
    """Examples per device of a global batch.

    Raises:
      UserError: the devices cannot share the batch evenly.
    """
    if batch_size % num_devices:
        raise UserError(
            f"--batch_size={batch_size} is not divisible by {num_devices} devices: use"
            f" {batch_size // num_devices * num_devices or num_devices}, or"
            " --num_devices=1"
        )
    return batch_size // num_devices


def describe(device: jax.Device) -> dict[str, str | None]:
    """Kind and platform; of a CPU, what `processor.describe` says, too."""
    found = {"kind": device.device_kind, "platform": device.platform}
    return found | processor.describe(device.platform)
