"""The page of two dimensions: a GAN of points that is trained while one looks."""

from typing import Any, NamedTuple

import gradio as gr
import numpy as np

from experiments.explorer.page import Shared, begin, image, told
from gan_jax import training
from gan_jax.explore import plane, plane_picture
from gan_jax.losses import LOSSES
from gan_jax.penalties import PENALTIES

_TEXT = (
    "A GAN of points in the plane, trained here and now: the colours are the"
    " discriminator's score, the arrows where the generator's loss pulls its samples."
    " The idea is GAN Lab's ([Kahng et al. 2019](https://arxiv.org/abs/1809.01587));"
    " the ring and the grid show mode collapse"
    " ([Metz et al. 2017](https://arxiv.org/abs/1611.02163))."
)
_SECONDS = 0.2  # between pictures
_NAMES = {"ring": "ring of 8", "grid": "grid of 25", "swiss_roll": "Swiss roll"}


class _Trained(NamedTuple):
    """What a browser's tab trains.

    Attributes:
      setting: as it was started.
      state: before any step None.
      metrics: of the last step.
    """

    setting: plane.Setting
    state: training.GANState | None = None
    metrics: dict[str, float] = {}  # noqa: RUF012, it is never changed


def build(page: gr.Blocks, shared: Shared) -> None:
    """Makes the page."""
    del shared
    usual = plane.Setting()
    message = begin("Two dimensions", _TEXT)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            data = gr.Radio(
                [(name, key) for key, name in _NAMES.items()],
                value=usual.data,
                label="Data",
                elem_id="data",
            )
            loss = gr.Dropdown(
                list(LOSSES), value=usual.loss, label="Loss", elem_id="loss"
            )
            penalty = gr.Dropdown(
                ["none", *PENALTIES],
                value=usual.penalty,
                label="Penalty",
                elem_id="penalty",
            )
            weight = gr.Slider(
                0,
                10,
                usual.penalty_weight,
                step=0.1,
                label="Its weight",
                elem_id="weight",
            )
            rate = gr.Slider(
                -4.0,
                -2.0,
                float(np.log10(usual.learning_rate)),
                step=0.1,
                label="Learning rate, a power of ten",
                elem_id="rate",
            )
            critic_steps = gr.Slider(
                1,
                10,
                usual.critic_steps,
                step=1,
                label="Discriminator steps for each of the generator",
                elem_id="critic_steps",
            )
            speed = gr.Slider(
                1, 100, 25, step=1, label="Steps between pictures", elem_id="speed"
            )
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
        with gr.Column(scale=3, min_width=300, elem_classes="look"):
            with gr.Row():
                play = gr.Button(
                    "Train", variant="primary", elem_id="play", min_width=90
                )
                one = gr.Button("One step", elem_id="one", min_width=80, size="md")
                reset = gr.Button("Reset", elem_id="reset", min_width=80, size="md")
            _, picture = image(
                "black: real points; orange: samples; arrows: the loss's pull at them",
                format="jpeg",
                elem_id="plane",
                elem_classes=None,
            )
            about = gr.Markdown(elem_id="about")
    trained = gr.State(None)
    running = gr.State(False)
    timer = gr.Timer(_SECONDS, active=False)
    asked = [data, loss, penalty, weight, rate, critic_steps, seed]

    def setting_of(
        data: str,
        loss: str,
        penalty: str,
        weight: float,
        rate: float,
        critic_steps: float,
        seed: float,
    ) -> plane.Setting:
        setting = plane.Setting(
            data=data,
            loss=loss,
            penalty=penalty,
            penalty_weight=float(weight),
            learning_rate=float(10**rate),
            critic_steps=int(critic_steps),
            seed=int(seed or 0),
        )
        setting.check()
        return setting

    @told(3)
    def begun(*values: Any) -> tuple[Any, ...]:
        """A GAN before its first step."""
        setting = setting_of(*values)
        return _shown(_Trained(setting, plane.start(setting)))

    @told(3)
    def stepped(before: _Trained | None, steps: float, *values: Any) -> tuple[Any, ...]:
        setting = setting_of(*values)
        if before is None or before.state is None:
            before = _Trained(setting, plane.start(setting))
        state, metrics = plane.advance(setting, before.state, max(int(steps), 1))
        return _shown(_Trained(setting, state, metrics))

    def stepped_once(before: _Trained | None, *values: Any) -> tuple[Any, ...]:
        return stepped(before, 1, *values)

    def toggled(running: bool) -> tuple[Any, ...]:
        return (
            not running,
            gr.Timer(active=not running),
            "Train" if running else "Pause",
        )

    def stopped() -> tuple[Any, ...]:
        return False, gr.Timer(active=False), "Train"

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    shown = [trained, picture, about, message]
    control = [running, timer, play]
    page.load(begun, inputs=asked, outputs=shown, **quiet)
    # Another loss has another recipe: its numbers come with it, and training begins
    # anew. What the compiled step takes as numbers may change while it is trained.
    loss.input(
        lambda loss: tuple(plane.usual(loss).values()),
        inputs=loss,
        outputs=[penalty, weight, critic_steps],
        **quiet,
    ).then(begun, inputs=asked, outputs=shown, **quiet)
    gr.on(
        [part.input for part in (data, penalty, critic_steps, seed)],
        begun,
        inputs=asked,
        outputs=shown,
        **quiet,
    )
    reset.click(stopped, outputs=control, **quiet).then(
        begun, inputs=asked, outputs=shown, **quiet
    )
    play.click(toggled, inputs=running, outputs=control, **quiet)
    one.click(stopped, outputs=control, **quiet).then(
        stepped_once, inputs=[trained, *asked], outputs=shown, **quiet
    )
    timer.tick(
        stepped,
        inputs=[trained, speed, *asked],
        outputs=shown,
        trigger_mode="once",
        **quiet,
    )


def _shown(trained: _Trained) -> tuple[Any, ...]:
    """State, picture and text."""
    setting, state, metrics = trained
    look = plane.look(setting, state)
    return (
        trained,
        plane_picture.draw(look),
        _words(setting, int(state.step), metrics, look),
    )


def _words(
    setting: plane.Setting, step: int, metrics: dict[str, float], look: plane.Look
) -> str:
    words = [f"Step {step:,}."]
    if metrics:
        words.append(
            f"Losses: discriminator {metrics['d_loss']:.3f}, generator"
            f" {metrics['g_loss']:.3f}."
        )
    if number := plane.MODES[setting.data]:
        words.append(
            f"{look.covered} of {number} modes; {look.good:.0%} of the samples are near"
            " one."
        )
    low, high = look.surface.min(), look.surface.max()
    words.append(f"Scores from {low:.2f} (red) to {high:.2f} (blue).")
    return " ".join(words)
