"""What `turns` measures together: one GAN and several programs."""

import dataclasses
from collections.abc import Sequence
from itertools import product

from absl import flags

from experiments.measure.peers import worker
from gan_jax import data, own_code, recipes, training
from gan_jax.devices import available
from gan_jax.errors import UserError, check_name
from gan_jax.recipes import Recipe

EPOCH = 60_000  # examples: Fashion-MNIST's, whatever is kept in memory here


@dataclasses.dataclass(frozen=True)
class Setting:
    """One GAN, and the programs that alternate in training it.

    gan_jax trains it on every number of devices and as every number of GANs at once;
    the first of both is the program that the others are compared with.

    Attributes:
      loss: name in `gan_jax.losses.LOSSES`.
      batch_size: real examples of a discriminator update, over all devices.
      precision: name in `gan_jax.recipes.recipe.PRECISIONS`.
      conditional: whether the networks see labels.
      network: name in `gan_jax.networks.NETWORKS`.
      width: of its layers, or None.
      num_devices: of gan_jax; on a CPU, simulated ones.
      gans: how many GANs gan_jax trains at once.
      steps: generator steps of each program in a round.
      rounds: how often each program has its turn.
      data: "random" or a data set's name.
      data_dir: folder of the data set, or None.
      num_examples: size of the data set.
      shape: of an image; of a data set, its own.
      compilation_cache: whether gan_jax uses JAX's persistent compilation cache.
      peers: names in `worker.PEERS`.
    """

    loss: str = "wasserstein_gp"
    batch_size: int = 64
    precision: str = "float32"
    conditional: bool = False
    network: str = "reference"
    width: int | None = None
    num_devices: Sequence[int] = (1,)
    gans: Sequence[int] = (1,)
    steps: int = 50
    rounds: int = 7
    data: str = "random"
    data_dir: str | None = None
    num_examples: int = EPOCH
    shape: tuple[int, int, int] = (28, 28, 1)
    compilation_cache: bool = True
    peers: Sequence[str] = ("eager", "tuned")

    def recipe(self) -> Recipe:
        """The numbers that train this loss."""
        return recipes.recipe(
            self.loss,
            precision=self.precision,
            batch_size=self.batch_size,
            conditional=self.conditional,
            network=self.network,
            width=self.width,
        )

    def check(self) -> None:
        """Refuses what could not be measured, before anything is.

        Raises:
          UserError: an unknown name, or a number out of range.
        """
        for name in ("batch_size", "steps", "rounds", "num_examples"):
            _positive(name, getattr(self, name))
        for name in ("num_devices", "gans"):
            values = getattr(self, name)
            for value in values:
                _positive(name, value)
            if not values or len(set(values)) < len(values):
                raise UserError(f"--{name} must name one number or more, each once")
        for i, peer in enumerate(self.peers):
            check_name("peer", peer, worker.PEERS)
            if peer in self.peers[:i]:
                so = " (--recorder names it, too)" if peer == "recorded" else ""
                raise UserError(f"--peers names {peer} twice{so}: name each once")
            if peer not in worker.IN_JAX and (missing := self._not_in_pytorch()):
                raise UserError(
                    f"there is no {missing} in PyTorch: leave the peers out, --peers="
                )
        if self.data != "random":
            data.check_name(self.data)
            about = data.about(self.data)
            if about is None or about.shape != self.shape:
                raise UserError(
                    f"--data={self.data} has no images of {self.shape}: measure noise"
                    " of its shape (--data=random)"
                )
        for devices, gans in product(self.num_devices, self.gans):
            if gans == 1:
                available.local_batch_size(self.batch_size, devices)
            elif gans % devices:
                raise UserError(f"--gans={gans} is not divisible by {devices} devices")
        gan = recipes.make_gan(self.recipe(), shape=self.shape)  # refuses other sizes
        training.steps_per_epoch(gan, self.num_examples, self.batch_size)

    def _not_in_pytorch(self) -> str:
        """The flags of what `peers.pytorch` lacks; empty where it has all."""
        if own_code.is_own(self.loss):
            return f"--loss={self.loss}"
        theirs = {
            "reference": self.width is None,
            "dcgan": True,
            "resnet": min(self.shape[:2]) < 64,  # of the same width in all stages
        }
        if theirs.get(self.network):
            return ""
        width = "" if self.width is None else f" --width={self.width}"
        size = " of such a size" if self.network == "resnet" else ""
        return f"--network={self.network}{width}{size}"


def shapes(flag: flags.FlagHolder) -> list[tuple[int, int, int]]:
    """What a flag of shapes says.

    Raises:
      UserError: there is none, or one of them is no shape.
    """
    if not flag.value:
        raise UserError(f"--{flag.name} is empty: name one or more, as 28x28x1")
    found = []
    for text in flag.value:
        parts = text.split("x")
        if len(parts) != 3 or not all(p.isdecimal() and int(p) for p in parts):
            raise UserError(
                f"--{flag.name}={text} must be height, width and channels, each at"
                " least 1, as 28x28x1"
            )
        found.append(tuple(map(int, parts)))
    return found


def _positive(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"--{name}={value} must be at least 1")


@dataclasses.dataclass(frozen=True)
class Program:
    """What one process runs.

    Attributes:
      name: "gan_jax" or one of `worker.PEERS`.
      num_devices: to train on.
      gans: to train at once.
    """

    name: str
    num_devices: int = 1
    gans: int = 1

    def key(self, setting: Setting) -> str:
        """Its name among those that alternate: "gan_jax" of gan_jax's first."""
        key = self.name
        if key == "gan_jax" and self.num_devices != setting.num_devices[0]:
            key += f"_{self.num_devices}_devices"
        if key.startswith("gan_jax") and self.gans != setting.gans[0]:
            key += f"_{self.gans}_gans"
        return key


def programs(setting: Setting) -> list[Program]:
    """All that alternate, gan_jax's first program first."""
    ours = product(["gan_jax"], setting.num_devices, setting.gans)
    return [*(Program(*p) for p in ours), *map(Program, setting.peers)]
