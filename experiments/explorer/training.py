"""The page of training: samples over the steps beside real images, and curves."""

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from experiments.explorer.page import (
    Shared,
    asked_run,
    begin,
    folder_of,
    image,
    plain,
    told,
)
from gan_jax.errors import UserError
from gan_jax.explore import pictures, runs

_TEXT = (
    "Samples of the same latents at every step that was saved, beside images that the"
    " run was trained on; below, what was logged. A GAN's losses do not say how good"
    " its samples are: they are two players' of a game"
    " ([Goodfellow et al. 2014](https://arxiv.org/abs/1406.2661))."
)
_CURVES = {
    "losses": ("d_loss", "g_loss"),
    "logits": ("real_logit", "fake_logit"),
    "gradient norms": ("d_gradient_norm", "g_gradient_norm"),
    "penalty": ("penalty",),
    "Fréchet distance": ("fcd", "frechet_random", "fid"),
    "modes": ("modes", "class_kl"),
    "images a second": ("images_per_second",),
}
_COLOURS = (
    *("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f"),
    *("#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8c8c8c"),
)
_SECONDS = 4.0  # between looks at a run that is being trained
_WHOLE = [None, None]


def build(page: gr.Blocks, shared: Shared) -> None:
    """Makes the page."""
    message = begin("Training", _TEXT)
    with gr.Row():
        run = gr.Dropdown(label="Run", elem_id="run")
        step = gr.Slider(0, 1, value=0, step=1, label="Step", elem_id="step")
    about = gr.Markdown(elem_id="about")
    with gr.Row():
        caption, samples = image("samples", elem_id="samples")
        _, real = image("real images", elem_id="real")
    with gr.Row():
        others = gr.Dropdown(
            label="Other runs, in the same picture", multiselect=True, elem_id="others"
        )
        curve = gr.Radio(list(_CURVES), value="losses", label="Curves", elem_id="curve")
    plot = gr.LinePlot(
        x="step",
        y="value",
        color="curve",
        height=360,
        elem_id="plot",
        elem_classes="plot",
        label="Drag over the plot to zoom",
        x_title="generator steps",
    )
    whole = gr.Button("The whole curve", size="sm", elem_id="whole")
    timer = gr.Timer(_SECONDS)

    @told(8, clear=(5, 6, 7))
    def first(request: gr.Request) -> tuple[Any, ...]:
        names = _names(shared)
        chosen = asked_run(request, names)
        picker = gr.update(choices=names, value=chosen)
        return picker, gr.update(choices=names), *choose(chosen, [], "losses")

    def choose(name: str | None, more: list[str], which: str) -> tuple[Any, ...]:
        """Slider, texts, samples, real images and curves: of a run that was chosen.

        What cannot be read is said in the text; the rest is shown.
        """
        folder = folder_of(shared, name)
        steps = pictures.steps(folder)
        last = steps[-1] if steps else 0
        said = [_about(shared, name)]
        here, grid = _attempt(said, lambda: _samples(shared, name, last)) or ("", None)
        real = _attempt(said, lambda: pictures.read(shared.root, folder / "real.png"))
        drawn = _attempt(said, lambda: draw(name, more, which))
        return _slider(steps, last), "\n\n".join(said), here, grid, real, drawn

    def draw(name: str, more: list[str], which: str) -> Any:
        table = _table(shared, [name, *(n for n in more if n != name)], which)
        return gr.update(value=table, x_lim=_WHOLE)

    @told(1)
    def coloured(name: str, more: list[str], which: str) -> tuple[Any, ...]:
        """Colours of the curves that are there: Gradio takes new names up with them."""
        table = _table(shared, [name, *(n for n in more if n != name)], which)
        names = dict.fromkeys(table["curve"])
        colours = {n: _COLOURS[i % len(_COLOURS)] for i, n in enumerate(names)}
        return (gr.update(color_map=colours),)

    @told(6, clear=(3, 4, 5))
    def chosen(name: str, more: list[str], which: str) -> tuple[Any, ...]:
        return choose(name, more, which)

    @told(2, clear=(1,))
    def moved(name: str, to: float) -> tuple[Any, ...]:
        return _samples(shared, name, int(to))

    @told(1)
    def drawn(name: str, more: list[str], which: str) -> tuple[Any, ...]:
        return (draw(name, more, which),)

    @told(5)
    def watched(name: str, at: float, more: list[str], which: str) -> tuple[Any, ...]:
        """Goes on with a run that is trained, at its end if it was looked at there."""
        folder = folder_of(shared, name)
        if runs.describe(shared.root, name).status != runs.RUNNING:
            return (gr.skip(),) * 5
        steps = pictures.steps(folder)
        if not steps:
            return gr.skip(), _about(shared, name), *[gr.skip()] * 3
        was_last = sum(step > at for step in steps) <= 2  # there, or a little behind
        to = steps[-1] if was_last else int(at)
        table = _table(shared, [name, *(n for n in more if n != name)], which)
        shown = _samples(shared, name, to)
        return _slider(steps, to), _about(shared, name), *shown, table

    def zoomed(event: gr.SelectData) -> Any:
        low, high = event.index
        return gr.update(x_lim=[low, high])

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    shown = [step, about, caption, samples, real, plot]
    curves = [run, others, curve]
    page.load(first, outputs=[run, others, *shown, message], **quiet)
    run.input(chosen, inputs=curves, outputs=[*shown, message], **quiet).success(
        coloured, inputs=curves, outputs=[plot, message], **quiet
    )
    step.input(
        moved,
        inputs=[run, step],
        outputs=[caption, samples, message],
        trigger_mode="always_last",
        **quiet,
    )
    gr.on(
        [others.input, curve.input],
        drawn,
        inputs=curves,
        outputs=[plot, message],
        **quiet,
    ).success(coloured, inputs=curves, outputs=[plot, message], **quiet)
    timer.tick(
        watched,
        inputs=[run, step, others, curve],
        outputs=[step, about, caption, samples, plot, message],
        **quiet,
    )
    plot.select(zoomed, outputs=plot, **quiet)
    gr.on(
        [plot.double_click, whole.click],
        lambda: gr.update(x_lim=_WHOLE),
        outputs=plot,
        **quiet,
    )


def _names(shared: Shared) -> list[str]:
    found = runs.describe_all(shared.root)
    return [run.name for run in found if run.status != runs.REFUSED]


def _slider(steps: list[int], value: int) -> Any:
    if not steps:
        return gr.update(minimum=0, maximum=1, value=0, interactive=False)
    between = int(np.gcd.reduce(np.diff([0, *steps]))) or 1
    low = min(steps[0], steps[-1] - between) if len(steps) == 1 else steps[0]
    return gr.update(
        minimum=low, maximum=steps[-1], step=between, value=value, interactive=True
    )


def _about(shared: Shared, name: str) -> str:
    """How the run is, in a line of Markdown."""
    here = runs.describe(shared.root, name)
    return f"**{here.status}**: {plain(here.reason)}"


def _attempt(said: list[str], part: Callable[[], Any]) -> Any:
    """What a part of the page gives; where it cannot, None, and why is said."""
    try:
        return part()
    except (UserError, OSError) as error:
        if (why := plain(str(error))) not in said[0]:
            said.append(why)
        return None


def _samples(shared: Shared, name: str, step: int) -> tuple[Any, ...]:
    """Caption and grid of the step that is nearest."""
    folder = folder_of(shared, name)
    steps = pictures.steps(folder)
    if not steps:
        return "No samples yet", None
    near = min(steps, key=lambda there: abs(there - step))
    picture = pictures.read(shared.root, pictures.grid_path(folder, near))
    return f"Samples at step {near}", picture


def _table(shared: Shared, names: list[str], which: str) -> pd.DataFrame:
    """The points of the curves of several runs, in rows for the plot."""
    parts = []
    for name in names:
        found = pictures.curves(shared.root, folder_of(shared, name))
        for metric in _CURVES.get(which, ()):
            if metric not in found:
                continue
            label = metric if len(names) == 1 else f"{name}: {metric}"
            points = {"step": found[metric].steps, "value": found[metric].values}
            parts.append(pd.DataFrame(points).assign(curve=label))
    if not parts:
        return pd.DataFrame({"step": [], "value": [], "curve": []})
    return pd.concat(parts)
