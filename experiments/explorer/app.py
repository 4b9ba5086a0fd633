"""The app: its pages, its looks, and its server."""

import contextlib
import os
import pathlib
import time
import urllib.request

import gradio as gr

from experiments.explorer import critic, latents, plane, runs, study, training
from experiments.explorer.page import Shared
from gan_jax.errors import UserError
from gan_jax.explore.runs import describe_all
from gan_jax.system import files

TITLE = "gan_jax explorer"
PAGES = {
    "training": training.build,
    "latents": latents.build,
    "critic": critic.build,
    "two dimensions": plane.build,
    "study": study.build,
}
_CSS = (pathlib.Path(__file__).parent / "looks.css").read_text()


def build(root: pathlib.Path, *, own_code: bool = False) -> gr.Blocks:
    """All pages over a folder of runs.

    Args:
      root: that holds the runs; it may be empty, or appear later.
      own_code: as in `gan_jax.explore.restored.restore`.
    """
    shared = Shared(root, own_code)
    # Every hour, pictures and files that were shown a day ago are deleted.
    how = {"analytics_enabled": False, "delete_cache": (3600, 86400)}
    with gr.Blocks(title=TITLE, fill_width=True, **how) as app:
        runs.build(app, shared)
    for name, make in PAGES.items():
        with app.route(name, f"/{name.replace(' ', '_')}") as page:
            make(page, shared)
    return app


def theme() -> gr.Theme:
    """Fonts of the system alone: nothing is fetched."""
    return gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


def start(
    root: pathlib.Path,
    scratch: pathlib.Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    share: bool = False,
    inbrowser: bool = False,
    own_code: bool = False,
) -> tuple[gr.Blocks, str]:
    """Starts the server, and returns the app and its address.

    Args:
      root: that holds the runs.
      scratch: folder for the pictures that are shown.
      host: address to listen on.
      port: to listen on, 0 for any that is free.
      share: whether to make a public address as well.
      inbrowser: whether to open it in this machine's browser.
      own_code: as in `build`.

    Raises:
      UserError: the port is taken, or there is no such address.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(scratch)
    app = build(root, own_code=own_code)
    try:
        _, local, public = app.launch(
            server_name=host,
            server_port=port or None,
            share=share,
            inbrowser=inbrowser,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            theme=theme(),
            css=_CSS,
        )
    except OSError as error:
        raise UserError(
            f"cannot listen on --host={host} --port={port} ({error}): it is in use, or"
            " not of this machine: choose another"
        ) from error
    _warm(root, local)
    return app, public or local


def _warm(root: pathlib.Path, address: str) -> None:
    """Makes what the first page needs, before anybody is told that it is up."""
    describe_all(root)
    # Not by way of a proxy, and whatever the answer is.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError):
        opener.open(address, timeout=10).read()


def serve(root: pathlib.Path, **how: object) -> None:
    """Serves until a signal ends the process; says where, when it is up.

    Raises:
      UserError: as `start`.
    """
    place = files.cache_folder() / "explorer"
    place.mkdir(parents=True, exist_ok=True)
    files.remove_abandoned(place)
    with files.scratch_folder(place / "shown") as scratch:
        _, address = start(root, scratch, **how)
        print(f"{root} is shown at {address} (Ctrl-C ends it)", flush=True)
        while True:  # a signal ends the process: `cli.signals`
            time.sleep(3600)
