"""The app: its pages, its looks, and its server."""

import contextlib
import os
import pathlib
import time
import urllib.request

import gradio as gr
from gradio import tunneling

from experiments.explorer import critic, latents, plane, runs, study, training
from experiments.explorer.page import Shared
from gan_jax.errors import UserError, quote
from gan_jax.explore.runs import describe_all
from gan_jax.system import files, signals

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
      UserError: the port is taken, there is no such address, or the network does not
        let Gradio reach itself.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(scratch)
    app = build(root, own_code=own_code)
    _reach_without_a_proxy(host)
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
            max_file_size=0,  # of what is sent: no page takes a file
        )
    except OSError as error:
        raise UserError(
            f"cannot listen on --host={host} --port={port} ({error}): it is in use, or"
            " not of this machine: choose another"
        ) from error
    except Exception as error:  # HTTPX's are of no common kind, and some have none
        raise UserError(
            f"Gradio cannot start ({quote(error)}): see that --host={host} can be"
            " reached from here, and what proxies the environment names"
        ) from error
    _warm(root, local)
    return app, public or local


def _reach_without_a_proxy(host: str) -> None:
    """Gradio asks its own address, and may be told of a proxy by the environment."""
    there = urllib.request.getproxies_environment().get("no")
    names = ",".join([*([there] if there else []), host, "localhost", "127.0.0.1"])
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = names


def _end_tunnels() -> None:
    """Ends the processes that Gradio would end at Python's exit."""
    for tunnel in tunneling.CURRENT_TUNNELS:
        if tunnel.proc is not None:
            tunnel.proc.terminate()


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
    signals.before_end(_end_tunnels)
    with files.scratch_folder(place / "shown") as scratch:
        _, address = start(root, scratch, **how)
        print(f"{root} is shown at {address} (Ctrl-C ends it)", flush=True)
        while True:  # a signal ends the process: `cli.signals`
            time.sleep(3600)
