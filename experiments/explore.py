"""Shows the runs of a folder in a browser, and trains GANs of points there.

    python -m experiments.explore
    python -m experiments.explore --runs=/data/runs --port=8000

Pages: runs; training, the samples over the steps and the curves; latents, walks and
principal directions; the critic's scores and gradients; GANs in two dimensions; studies
(docs/explorer.md). Needs Gradio: pip install 'gan_jax[app]'.

Only this machine can reach it, unless --host or --share say otherwise. It writes to no
run, and reads nothing outside of --runs. Ctrl-C ends it.
"""

import importlib
import importlib.util
import os
import pathlib

from absl import flags

from experiments.common import cli
from gan_jax.devices import available
from gan_jax.errors import UserError, quote
from gan_jax.system import remote
from gan_jax.system.paths import expand

_RUNS = flags.DEFINE_string("runs", "runs", "Folder that holds runs, at any depth.")
_HOST = flags.DEFINE_string(
    "host",
    "127.0.0.1",
    "Address to listen on. 0.0.0.0 lets every machine of the network in, and there is"
    " no password.",
)
_PORT = flags.DEFINE_integer("port", 7860, "Port to listen on; 0 for any that is free.")
_SHARE = flags.DEFINE_boolean(
    "share",
    False,
    "Also make a public address through Gradio's servers, for a week at most: whoever"
    " knows it sees these runs.",
)
_OPEN = flags.DEFINE_boolean("open", False, "Open it in this machine's browser.")
_OWN_CODE = flags.DEFINE_boolean(
    "own_code",
    False,
    "Also restore runs whose loss or networks are code of one's own: the files that"
    " they name are then run, wherever they are.",
)


def main() -> None:
    """Checks the flags, then serves until a signal asks to end."""
    root = _root()
    if not 0 <= _PORT.value < 2**16:
        raise UserError(f"--port={_PORT.value} must be in 0 ... 65535")
    if not _HOST.value:
        raise UserError("--host is empty: name an address, as 127.0.0.1")
    available.find_devices()
    if importlib.util.find_spec("gradio") is None:
        raise UserError("it needs Gradio: pip install 'gan_jax[app]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # asks nobody, tells nobody
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        importlib.import_module("gradio")  # takes seconds, and reads of proxies
    except (ImportError, ValueError) as error:
        raise UserError(
            f"Gradio cannot be loaded ({quote(error)}): mend what that names, or the"
            " proxy in the environment"
        ) from error
    from experiments.explorer import app

    app.serve(
        root,
        host=_HOST.value,
        port=_PORT.value,
        share=_SHARE.value,
        inbrowser=_OPEN.value,
        own_code=_OWN_CODE.value,
    )


def _root() -> pathlib.Path:
    """What --runs names; the default need not be there.

    Raises:
      UserError: there is no such folder.
    """
    remote.refuse(pathlib.Path(_RUNS.value or ""), "runs")
    root = expand(_RUNS.value or "").absolute()
    if not _RUNS.value:
        raise UserError("--runs is empty: name a folder that holds runs")
    if not root.is_dir() and (flags.FLAGS["runs"].present or root.exists()):
        raise UserError(
            f"--runs={root} is no folder: name one that holds runs of experiments.train"
        )
    return root


if __name__ == "__main__":
    cli.run(main)
