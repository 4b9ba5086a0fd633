"""A generator and a discriminator by their name: built in, or the user's own."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax import own_code
from gan_jax.errors import UserError, quote
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.r3gan import EXPANSION, GROUP, R3GANDiscriminator, R3GANGenerator
from gan_jax.networks.reference import Discriminator, Generator
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator

Pair = tuple[nn.Module, nn.Module]
MOST_WIDTH = 2**14


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a pair of networks is for.

    Attributes:
      shape: of an image, ``(height, width, channels)``.
      num_classes: of the labels that both take, or None.
      width: of the layers, in the sense of the network; None for its own.
      spectral_norm: of the discriminator's weights.
      penalised: whether the discriminator has a gradient penalty, and so must keep
        examples apart.
      axis_name: the device axis that batch norm averages over, None for one device.
      dtype: type of the computation; None for that of inputs and parameters.
    """

    shape: tuple[int, int, int] = (28, 28, 1)
    num_classes: int | None = None
    width: int | None = None
    spectral_norm: bool = False
    penalised: bool = False
    axis_name: str | None = None
    dtype: jnp.dtype | None = None


def _reference(wanted: Wanted) -> Pair:
    width = {} if wanted.width is None else {"width": wanted.width}
    spectral = {"spectral_norm": True} if wanted.spectral_norm else {}
    classes, dtype = wanted.num_classes, wanted.dtype
    return (
        Generator(classes, wanted.shape, wanted.axis_name, dtype, **width),
        Discriminator(classes, dtype=dtype, **width, **spectral),
    )


def _mlp(wanted: Wanted) -> Pair:
    hidden = (wanted.width or 512,) * 3
    classes, dtype = wanted.num_classes, wanted.dtype
    axes = len(wanted.shape)
    return (
        MLPGenerator(wanted.shape, hidden, classes, dtype),
        MLPDiscriminator(hidden, classes, axes=axes, dtype=dtype),
    )


def _dcgan(wanted: Wanted) -> Pair:
    width, dtype, axis_name = wanted.width or 64, wanted.dtype, wanted.axis_name
    norm = "layer" if wanted.penalised else "batch"
    return (
        DCGANGenerator(wanted.num_classes, wanted.shape, width, axis_name, dtype),
        DCGANDiscriminator(
            wanted.num_classes, width, norm, wanted.spectral_norm, axis_name, dtype
        ),
    )


def _resnet(wanted: Wanted) -> Pair:
    width, dtype, axis_name = wanted.width or 64, wanted.dtype, wanted.axis_name
    return (
        ResNetGenerator(wanted.num_classes, wanted.shape, width, axis_name, dtype),
        ResNetDiscriminator(wanted.num_classes, width, wanted.spectral_norm, dtype),
    )


def _r3gan(wanted: Wanted) -> Pair:
    width, dtype = wanted.width or 64, wanted.dtype
    return (
        R3GANGenerator(wanted.num_classes, wanted.shape, width, dtype),
        R3GANDiscriminator(wanted.num_classes, width, dtype),
    )


class BuiltIn(NamedTuple):
    """A pair of networks of the project.

    Attributes:
      make: the two networks.
      step: what their width is a multiple of.
      spectral_norm: whether the discriminator has it.
    """

    make: Callable[[Wanted], Pair]
    step: int = 1
    spectral_norm: bool = False


NETWORKS = {
    # Two pixel shuffles, of a 4th of the width and of a half of that.
    "reference": BuiltIn(_reference, step=8, spectral_norm=True),
    "mlp": BuiltIn(_mlp),
    "dcgan": BuiltIn(_dcgan, spectral_norm=True),
    "resnet": BuiltIn(_resnet, spectral_norm=True),
    "r3gan": BuiltIn(_r3gan, step=GROUP // EXPANSION),
}


def check(name: str, width: int | None = None, spectral_norm: bool = False) -> None:
    """Refuses a name that is no pair's, and what it does not have; runs nothing.

    Raises:
      UserError: an unknown name, a width that it cannot have, or spectral norm where
        there is none.
    """
    own_code.check("network", "network", name, NETWORKS, count=2)
    step = 1 if own_code.is_own(name) else NETWORKS[name].step
    whole = type(width) is int and step <= width <= MOST_WIDTH and width % step == 0
    if width is not None and not whole:
        multiple = f", a multiple of {step}," if step > 1 else ""
        raise UserError(
            f"--width={width} must be a number{multiple} from {step} to {MOST_WIDTH}"
            f" for --network={name}"
        )
    if spectral_norm and name in NETWORKS and not NETWORKS[name].spectral_norm:
        others = [other for other, pair in NETWORKS.items() if pair.spectral_norm]
        raise UserError(
            f"--spectral_norm is not for --network={name}: leave it out, or use"
            f" {', '.join(others)}"
        )


def make_pair(
    name: str, wanted: Wanted, latent_size: int = 64, batch_size: int = 2
) -> Pair:
    """A generator and a discriminator.

    Those of one's own are Linen modules, or classes of them, which are given what they
    have attributes for: ``shape``, ``num_classes``, ``width``, ``spectral_norm``,
    ``axis_name`` and ``dtype``, as in `Wanted`.

    Args:
      name: in `NETWORKS`, or ``mine.py:Generator,Discriminator``.
      wanted: what they are for.
      latent_size: dimension of z.
      batch_size: that one's own are asked to take.

    Raises:
      UserError: as `check`; such images cannot be made; one's own code cannot be run,
        or gives something else than images and logits.
    """
    check(name, wanted.width, wanted.spectral_norm)
    if not own_code.is_own(name):
        return NETWORKS[name].make(wanted)
    given = dataclasses.asdict(wanted)
    for option in ("width", "spectral_norm"):  # those that are asked for by a flag
        if not given[option]:
            del given[option]
    found = own_code.find("network", name)
    members = name.rpartition(":")[2].split(",")
    taken: set[str] = set()
    pair = []
    for member, thing in zip(members, found, strict=True):
        module, options = _instance(name, member, thing, given)
        pair.append(module)
        taken |= options
    asked = {"width": "width", "spectral_norm": "spectral_norm", "dtype": "precision"}
    for option, flag in asked.items():
        if given.get(option) and option not in taken:
            raise UserError(
                f"--{flag}: neither class of --network={name} has an attribute"
                f" {option}: leave it out, or add one"
            )
    _try(name, pair, wanted, latent_size, batch_size)
    return pair[0], pair[1]


def _instance(
    name: str, member: str, thing: Any, given: dict[str, Any]
) -> tuple[nn.Module, set[str]]:
    """The module of a class, and which attributes it was given."""
    if isinstance(thing, nn.Module):
        return thing, set()
    if not isinstance(thing, type) or not issubclass(thing, nn.Module):
        raise UserError(
            f"--network={name}: {member} is no flax.linen.Module (it is"
            f" {type(thing).__name__}): name a class of Linen's"
        )
    fields = {field.name for field in dataclasses.fields(thing)} & {*given}
    try:
        return thing(**{field: given[field] for field in fields}), fields
    except UserError:
        raise
    except Exception as error:  # whatever somebody's code raises
        raise UserError(
            f"--network={name}: {member} cannot be called ({quote(error)}): mend it"
        ) from error


def _try(
    name: str, pair: list[nn.Module], wanted: Wanted, latent_size: int, batch_size: int
) -> None:
    """Looks at the shapes that one's own modules give, without computing anything."""
    batch = (batch_size,)
    labels = [jax.ShapeDtypeStruct(batch, jnp.int32)] * (wanted.num_classes is not None)
    images = jax.ShapeDtypeStruct((*batch, *wanted.shape), jnp.float32)
    latents = jax.ShapeDtypeStruct((*batch, latent_size), jnp.float32)
    for module, takes, gives, what in (
        (pair[0], latents, images.shape, "images"),
        (pair[1], images, batch, "logits"),
    ):

        def call(*inputs: jax.Array, module: nn.Module = module) -> Any:
            return module.init_with_output(jax.random.key(0), *inputs, train=True)[0]

        who = f"--network={name}: {type(module).__name__}"
        try:
            found = jax.eval_shape(call, takes, *labels)
        except UserError:
            raise
        except Exception as error:  # whatever somebody's code raises
            raise UserError(
                f"{who} cannot be called ({quote(error)}): mend it"
            ) from error
        shape = getattr(found, "shape", None)
        if shape != gives:
            given = type(found).__name__ if shape is None else list(shape)
            raise UserError(
                f"{who} gives {given} for {list(takes.shape)}, and {what} are"
                f" {list(gives)}: make it give those"
            )
