"""What carries out the waves of a study: this process, or (`cluster`) many machines."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data import Dataset, Description
from gan_jax.devices import available, many
from gan_jax.evaluation import references
from gan_jax.study.populations import Judge
from gan_jax.study.trainer import Trainer
from gan_jax.study.waves import Wave
from gan_jax.system.remote import Place

SHOWN = 100  # samples of a GAN that are kept
_KEPT = 4  # programs that stay compiled


class Result(NamedTuple):
    """A wave that is done.

    Attributes:
      wave: what was trained.
      seconds: of training, a GAN's share; None where a part was in another process.
      measures: of each GAN, as `populations.Judge` gives them.
      samples: of each the first hundred, uint8 ``[100, height, width, channels]``; None
        of one that has none.
    """

    wave: Wave
    seconds: float | None
    measures: list[dict[str, Any]]
    samples: list[np.ndarray | None]


class Subject(NamedTuple):
    """What GANs are trained on and measured by.

    Attributes:
      images: what there is to know of the training split.
      dataset: the split itself, in memory.
      judge: measures a GAN.
      device: kind of the devices.
      floor: the Frechet distance of training images, as many as samples of a GAN.
    """

    images: Description
    dataset: Dataset
    judge: Judge
    device: str
    floor: float


def load(
    name: str,
    num_samples: int,
    *,
    quick: bool = False,
    say: Callable[[str], None] = print,
    **where: Any,
) -> Subject:
    """Loads a data set, and trains what its GANs are measured in if it is not cached.

    Args:
      name: data set, as in `data.load`.
      num_samples: of each GAN that is measured.
      quick: as in `references.load_reference`.
      say: takes the lines of what takes time.
      **where: ``data_dir`` and ``pictures``, as in `data.load`.

    Raises:
      UserError: as `references.load_reference`.
    """
    reference = references.load_reference(name, quick=quick, say=say, **where)
    dataset = reference.training_split
    judge = Judge(reference, num_samples)
    device = available.find_devices()[0].device_kind
    floor = references.floor_distance(reference, num_samples)
    return Subject(dataset.describe(), dataset, judge, device, floor)


class Local:
    """Trains and measures in this process, one wave after another."""

    def __init__(
        self,
        subject: Subject,
        should_stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = print,
    ) -> None:
        """Takes the data.

        Args:
          subject: what to train on and to measure by.
          should_stop: asked between two chunks of steps; where it says yes, the wave in
            hand is saved and no more come.
          say: takes the lines of the report.
        """
        self.images, self.device = subject.images, subject.device
        self.floor = subject.floor
        self._subject, self._should_stop, self._say = subject, should_stop, say
        self._folder: Place | None = None
        self._trainers: dict[Any, Trainer] = {}

    def save_in(self, folder: Place) -> None:
        """Waves under way, and GANs at rungs, are saved in a study's folder."""
        self._folder = folder

    def run(self, waves: Iterable[Wave]) -> Iterator[Result]:
        """Carries out waves; each is asked for when the one before is done.

        Raises:
          UserError: devices or data do not fit; a file cannot be written.
        """
        for wave in waves:
            result = self.carry_out(wave)
            if result is None:
                return
            yield result

    def carry_out(self, wave: Wave) -> Result | None:
        """Trains and measures one; None if it was broken off."""
        trained = self._trainer(wave).train(wave, self._folder, self._should_stop)
        if trained is None:
            return None
        measured = [
            self._subject.judge(trained.gan, many.pick(trained.states, i))
            for i in range(len(wave.runs))
        ]
        measures, images = zip(*measured, strict=True)
        samples = [None if some is None else some[:SHOWN].copy() for some in images]
        return Result(wave, trained.seconds, [*measures], samples)

    def _trainer(self, wave: Wave) -> Trainer:
        """The compiled program of a wave; few are kept, as each holds the data set."""
        key = (wave.program.key(), wave.plan)
        if key not in self._trainers:
            while len(self._trainers) >= _KEPT:
                del self._trainers[next(iter(self._trainers))]
            trainer = Trainer(wave, self._subject.dataset, self._say)
            self._trainers[key] = trainer
        return self._trainers[key]
