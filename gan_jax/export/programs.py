"""A generator as a program: ONNX, and StableHLO as `jax.export` keeps it.

Both are traced with convolutions of the library and a batch of any size. They compute
in float32, also where training's precision was another.
"""

import contextlib
import io
import json
import logging
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from gan_jax import backend, training
from gan_jax.errors import UserError, quote
from gan_jax.export import about
from gan_jax.export.libraries import library

PLATFORMS = ("cpu", "cuda", "tpu")
_PROGRAM, _ABOUT = "program.jax_export", "about.json"  # in a .stablehlo, a zip archive


def images(
    gan: training.GAN,
    state: training.GANState,
    pixels: str,
    z: jax.Array,
    labels: jax.Array | None = None,
) -> jax.Array:
    """What a program computes: `training.generate`, as "uint8" or in [-1, 1]."""
    found = training.generate(gan, state, z, labels)
    if pixels == "uint8":
        return training.to_uint8(found)
    return jnp.clip(found, -1, 1)


def _traced(
    gan: training.GAN, state: training.GANState, pixels: str, kind: str, batch: Any
) -> tuple[Callable[..., jax.Array], dict[str, jax.ShapeDtypeStruct]]:
    """`images` of latents (and labels), and these by name, of a batch of a symbol.

    Its weights are arrays of NumPy: constants of the program. Of whatever ``kind`` but
    "cpu", every convolution is one of the library, and nothing is a barrier.
    """
    weights = jax.tree.map(np.asarray, training.weights(state))
    state = state.replace(ema=tuple(weights))

    def traced(*inputs: jax.Array) -> jax.Array:
        with backend.tracing_for(kind):
            return images(gan, state, pixels, *inputs)

    inputs = {"z": jax.ShapeDtypeStruct((batch, gan.latent_size), jnp.float32)}
    if gan.num_classes is not None:
        inputs["label"] = jax.ShapeDtypeStruct((batch,), jnp.int32)
    return traced, inputs


def to_onnx(
    gan: training.GAN, state: training.GANState, pixels: str, said: dict[str, Any]
) -> bytes:
    """An ONNX model, ``z`` (and ``label``) to ``images``.

    Args:
      gan: what is trained, in float32.
      state: at any step.
      pixels: "uint8", or "float32" for [-1, 1].
      said: what it is to say of itself, as metadata "gan_jax".

    Raises:
      UserError: jax2onnx is not installed, or cannot write a layer of the generator.
    """
    jax2onnx = library("jax2onnx", "onnx")
    function, inputs = _traced(gan, state, pixels, "onnx", "batch")
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # of shapes: all are inferred
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # some versions print there
            model = jax2onnx.to_onnx(
                function,
                [*inputs.values()],
                model_name="gan_jax_generator",
                input_names=[*inputs],
                output_names=["images"],
            )
    except Exception as error:  # of a layer that it does not know: of any kind
        raise UserError(
            f"jax2onnx cannot write this generator ({quote(error)}): use"
            " --format=stablehlo, or safetensors"
        ) from error
    entry = model.metadata_props.add()
    entry.key, entry.value = "gan_jax", json.dumps(said)
    return model.SerializeToString()


def from_onnx(content: bytes) -> tuple[dict[str, Any], Callable[[Any, Any], Any]]:
    """What an ONNX model says of itself, and its function of latents and labels.

    Raises:
      UserError: onnxruntime is not installed.
      Exception: of any kind, the model is damaged, or not of this project.
    """
    runtime = library("onnxruntime", "onnx")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    said = about.parse(found.get("gan_jax", "{}"))
    about.check_inputs(said, [(*each.shape,) for each in session.get_inputs()])
    names = [each.name for each in session.get_inputs()]

    def generate(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        values = [z] if labels is None else [z, labels]
        return session.run(None, dict(zip(names, values, strict=True)))[0]

    return said, generate


def to_stablehlo(
    gan: training.GAN, state: training.GANState, pixels: str, said: dict[str, Any]
) -> bytes:
    """A zip archive of a program of `jax.export` and ``about.json``.

    Args and Raises: as `to_onnx`, but that it needs no library besides JAX.
    """
    (batch,) = export.symbolic_shape("batch")
    function, inputs = _traced(gan, state, pixels, "tpu", batch)
    exported = export.export(jax.jit(function), platforms=PLATFORMS)(*inputs.values())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_PROGRAM, exported.serialize())
        archive.writestr(_ABOUT, json.dumps(said))
    return buffer.getvalue()


def from_stablehlo(content: bytes) -> tuple[dict[str, Any], Callable[[Any, Any], Any]]:
    """What the archive says of itself, and its function of latents and labels.

    Raises:
      Exception: of any kind, the archive is damaged, or not of this project.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        said = about.parse(archive.read(_ABOUT))
        program = export.deserialize(bytearray(archive.read(_PROGRAM)))
    about.check_inputs(said, [each.shape for each in program.in_avals])
    call = jax.jit(program.call)

    def generate(z: np.ndarray, labels: np.ndarray | None) -> jax.Array:
        return call(z) if labels is None else call(z, labels)

    return said, generate
