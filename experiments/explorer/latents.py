"""The page of latents: seeds, walks, principal directions, truncation, classes."""

import collections
import functools
import hashlib
import os
import pathlib
import shlex
import tempfile
from typing import Any

import gradio as gr
import numpy as np

from experiments.explorer.page import (
    Shared,
    begin,
    enlarged,
    grid,
    image,
    plain,
    restorable,
    restore,
    told,
)
from experiments.explorer.page import command as command_line
from gan_jax import plots
from gan_jax.data.mnist_family import CLASS_NAMES
from gan_jax.explore import latents, restored
from gan_jax.explore.directions import Directions, principal_directions
from gan_jax.run import sample_files, sampling
from gan_jax.system import files

_TEXT = (
    "What the generator makes of latents: those of a seed, a walk from one seed to"
    " another along the great circle ([White 2016](https://arxiv.org/abs/1609.04468)),"
    " or latents that are truncated"
    " ([Brock et al. 2019](https://arxiv.org/abs/1809.11096)). The directions are the"
    " principal components of its first layer"
    " ([GANSpace, Härkönen et al. 2020](https://arxiv.org/abs/2004.02546)), each slider"
    " in deviations of that component."
)
_DIRECTIONS = 6
_NO_BOUND = 4.0  # truncation: less than a latent in 15,000 lies beyond
_MOST_CLASSES = 100  # with a button each
_MOST_BYTES = 160  # of a file's name; 255 are allowed, and some are added
_KEPT = 16  # files of so many pictures, should several browsers ask at once
_written: collections.deque[pathlib.Path] = collections.deque()
_SEED, _WALK = "Latents of the seed", "A walk to another seed"
_ALL = "all in turn"


def build(page: gr.Blocks, shared: Shared) -> None:
    """Makes the page."""
    message = begin("Latents", _TEXT)
    with gr.Row():
        with gr.Column(scale=2, min_width=320):
            run = gr.Dropdown(label="Run", elem_id="run")
            kind = gr.Radio([_SEED, _WALK], value=_SEED, label="Show", elem_id="kind")
            with gr.Row():
                seed = gr.Number(
                    0, label="Seed", precision=0, minimum=0, elem_id="seed"
                )
                to = gr.Number(
                    1,
                    label="To seed",
                    precision=0,
                    minimum=0,
                    visible=False,
                    elem_id="to",
                )
                following = gr.Button("Next seed", size="sm", elem_id="next")
            label = gr.Radio(
                [_ALL], value=_ALL, label="Class", visible=False, elem_id="label"
            )
            count = gr.Slider(1, 64, 36, step=1, label="Images", elem_id="count")
            bound = gr.Slider(
                0.1,
                _NO_BOUND,
                _NO_BOUND,
                step=0.1,
                label=f"Truncation, in deviations ({_NO_BOUND:g}: none)",
                elem_id="bound",
            )
            with gr.Accordion("Principal directions", open=True):
                along = [
                    gr.Slider(
                        -4,
                        4,
                        0,
                        step=0.1,
                        label=f"Direction {i + 1}",
                        elem_id=f"d{i + 1}",
                    )
                    for i in range(_DIRECTIONS)
                ]
                straight = gr.Button(
                    "All directions to 0", size="sm", elem_id="straight"
                )
        with gr.Column(scale=3, min_width=320, elem_classes="look"):
            _, picture = image("samples of the generator", elem_id="picture")
            about = gr.Markdown(elem_id="about")
    command = command_line("Makes them again")
    with gr.Row():
        png = gr.DownloadButton("PNG", size="sm", elem_id="png")
        npz = gr.DownloadButton("NPZ: images, latents", size="sm", elem_id="npz")
    settings = [run, kind, seed, to, label, count, bound, *along]
    shown = [picture, about, command, png, npz]

    def show(
        name: str,
        kind: str,
        seed: float,
        to: float,
        label: str,
        count: float,
        bound: float,
        *along: float,
    ) -> tuple[Any, ...]:
        found = restore(shared, name)
        view = latents.View(
            seed=int(seed or 0),
            count=int(count),
            truncation=None if bound >= _NO_BOUND else float(bound),
            along=tuple(float(a) for a in along) if any(along) else (),
            to_seed=int(to or 0) if kind == _WALK else None,
            label=_label(found, label),
        )
        directions = _directions(found) if view.along else None
        drawn = latents.draw(found.gan, found.state, view, directions)
        columns = _columns(len(drawn.images), kind == _WALK)
        small = grid(drawn.images, columns)
        words = [*view.flags(), "--output=samples.npz"]
        again = _command(shared.root / name, words)
        said = f"Step {found.step}, {len(drawn.images)} images. "
        said += plain(" ".join(found.warnings))
        return enlarged(small, 560), said, again, *_write(drawn, columns, name)

    @told(5, clear=(0, 3, 4))
    def changed(*values: Any) -> tuple[Any, ...]:
        return show(*values)

    def first(request: gr.Request) -> tuple[Any, ...]:
        """The picker, also where its first run cannot be shown; and what can."""
        name, picker = restorable(shared, request)
        return picker, *begun(name)

    @told(1 + _DIRECTIONS + 5, clear=(1 + _DIRECTIONS,))
    def begun(name: str | None) -> tuple[Any, ...]:
        return chosen_run(name)

    def chosen_run(name: str | None) -> tuple[Any, ...]:
        """Classes, names of the directions, and what is shown at the beginning."""
        found = restore(shared, name)
        classes = _classes(found)
        buttons = gr.update(choices=[_ALL, *classes], value=_ALL, visible=bool(classes))
        shares = _directions(found).shares
        sliders = [
            gr.update(
                value=0,
                visible=i < len(shares),
                label=f"Direction {i + 1}: {shares[i]:.1%} of the variance"
                if i < len(shares)
                else "",
            )
            for i in range(_DIRECTIONS)
        ]
        start = (_SEED, 0, 1, _ALL, 36, _NO_BOUND, *[0.0] * _DIRECTIONS)
        return buttons, *sliders, *show(name, *start)

    @told(1 + _DIRECTIONS + 5 + 5, clear=(1 + _DIRECTIONS,))
    def another(name: str) -> tuple[Any, ...]:
        plain = (_SEED, 0, gr.update(value=1, visible=False), 36, _NO_BOUND)
        return *chosen_run(name), *plain

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    full = {"show_progress": "minimal", "api_visibility": "private"}
    page.load(first, outputs=[run, label, *along, *shown, message], **full)
    run.input(
        another,
        inputs=run,
        outputs=[label, *along, *shown, kind, seed, to, count, bound, message],
        **full,
    )
    gr.on(
        [part.input for part in settings[1:]],
        changed,
        inputs=settings,
        outputs=[*shown, message],
        trigger_mode="always_last",
        **quiet,
    )
    kind.input(
        lambda kind: gr.update(visible=kind == _WALK), inputs=kind, outputs=to, **quiet
    )
    following.click(
        lambda seed: int(seed or 0) + 1, inputs=seed, outputs=seed, **quiet
    ).then(changed, inputs=settings, outputs=[*shown, message], **quiet)
    straight.click(lambda: [0] * _DIRECTIONS, outputs=along, **quiet).then(
        changed, inputs=settings, outputs=[*shown, message], **quiet
    )


@functools.lru_cache(maxsize=8)  # a restored run is equal to itself alone
def _directions(found: restored.Restored) -> Directions:
    return principal_directions(found.gan, found.state, count=_DIRECTIONS)


def _classes(found: restored.Restored) -> list[str]:
    """What the classes of a conditional run are called, with their numbers."""
    number = found.gan.num_classes
    if number is None:
        return []
    dataset = found.config.dataset.replace("garments", "fashion_mnist")
    names = CLASS_NAMES.get(dataset, ())
    if len(names) != number:
        return [str(i) for i in range(min(number, _MOST_CLASSES))]
    return [f"{i} {name}" for i, name in enumerate(names)]


def _label(found: restored.Restored, asked: str | None) -> int | None:
    if found.gan.num_classes is None or not asked or asked == _ALL:
        return None
    return int(asked.partition(" ")[0])


def _columns(count: int, walk: bool) -> int:
    """A walk goes in rows of eight; the latents of a seed fill a square."""
    return min(count, 8) if walk else int(np.ceil(np.sqrt(count)))


def _command(folder: pathlib.Path, words: list[str]) -> str:
    workdir = f"--workdir={folder}"
    return shlex.join(["python", "-m", "experiments.sample", workdir, *words])


def _write(drawn: latents.Drawn, columns: int, name: str) -> tuple[str, str]:
    """Both files of what is seen, to be downloaded; Gradio copies them for itself."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=os.environ["GRADIO_TEMP_DIR"]))
    _written.append(folder)
    while len(_written) > _KEPT:
        files.remove(_written.popleft())
    stem = name.replace("/", "_") if name != "." else "samples"
    if len(os.fsencode(stem)) > _MOST_BYTES:
        stem = f"{stem[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    with files.whole_file(folder / f"{stem}.png") as file:
        plots.save_grid(file, drawn.images, columns)
    samples = sampling.Samples(drawn.images, drawn.labels)
    sample_files.write_npz(folder / f"{stem}.npz", samples, z=drawn.z)
    return str(folder / f"{stem}.png"), str(folder / f"{stem}.npz")
