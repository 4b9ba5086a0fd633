"""GPUs and TPUs that are described and not there: XLA compiles for them, no more.

XLA's CUDA compiler needs the packages of `jax[cuda13]` and no driver, its TPU compiler
those of `libtpu`. Both are to be asked for before JAX is used for anything else.
"""

import importlib.util
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gan_jax import backend, recipes, training
from gan_jax.devices import many, parallel, placement
from gan_jax.errors import UserError

# By their data sheets: memory in bytes, its bandwidth in bytes a second.
CARDS = {
    "h100": {
        "name": "NVIDIA H100 80GB HBM3",
        "memory": 80 * 10**9,
        "bandwidth": 3352 * 10**9,
    },
    "h200": {
        "name": "NVIDIA H200",
        "memory": 141 * 10**9,
        "bandwidth": 4800 * 10**9,
    },
}
TPUS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2"}  # the smallest slices
_DESCRIPTION = """
platform_name: "CUDA"
device_description_str: "{name}"
dnn_version_info {{ major: 9 minor: 12 patch: 0 }}
gpu_device_info {{
  name: "{name}"
  model_str: "sm_9.0a"
  device_vendor: "NVIDIA Corporation"
  platform_version: "Compute Capability 9.0a"
  cuda_compute_capability {{ major: 9 feature_extension: ACCELERATED_FEATURES }}
  driver_version: "13.0.0" runtime_version: "13.0.0" dnn_version: "9.12.0"
  compile_time_toolkit_version: "13.0.0" cub_version: "3.1.2"
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  threads_per_warp: 32 threads_per_block_limit: 1024 threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  registers_per_block_limit: 65536 registers_per_core_limit: 65536
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  device_memory_size: {memory} memory_bandwidth: {bandwidth} l2_cache_size: 52428800
  device_address_bits: 64 ecc_enabled: true pcie_bandwidth: 64000000000
}}
"""


def missing(kind: str) -> str | None:
    """What to install before one can be described; None where nothing is missing.

    Args:
      kind: "cuda" or "tpu".
    """
    if kind == "tpu":
        found = importlib.util.find_spec("libtpu")
        return None if found else "pip install libtpu"
    names = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    found = any(importlib.util.find_spec(name) for name in names)
    return None if found else "pip install 'jax[cuda13]'"


def prepare(kind: str) -> None:
    """Sets what XLA reads when it starts; before JAX has looked for devices.

    Raises:
      UserError: packages are missing.
    """
    if install := missing(kind):
        raise UserError(f"XLA cannot compile for a {kind} device here: {install}")
    os.environ["JAX_PLATFORMS"] = "cpu"
    jax.config.update("jax_platforms", "cpu")
    if kind == "cuda":  # to choose among kernels, XLA would time them
        level = "--xla_gpu_autotune_level=0"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {level}"
        return
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("TPU_WORKER_ID", "0")


def device(card: str) -> jax.Device:
    """A card of `CARDS`, or one device of a slice of `TPUS`, after `prepare`."""
    return tpus(TPUS[card])[0] if card in TPUS else _cuda(card)


def _cuda(card: str) -> jax.Device:
    from jax._src import xla_bridge
    from jax.experimental import topologies

    known = xla_bridge.canonicalize_platform

    def canonical(platform: str) -> str:  # JAX knows those alone that it has found
        return "cuda" if platform in ("cuda", "gpu") else known(platform)

    xla_bridge.canonicalize_platform = canonical
    try:
        return topologies.get_topology_desc(
            platform="cuda",
            target_config=_DESCRIPTION.format(**CARDS[card]),
            topology="1x1x1",
        ).devices[0]
    finally:
        xla_bridge.canonicalize_platform = known


def tpus(topology: str) -> list[jax.Device]:
    """The devices of a TPU slice such as "v5e:2x2", after `prepare`."""
    from jax.experimental import topologies

    found = topologies.get_topology_desc(platform="tpu", topology_name=topology)
    return list(found.devices)


def compile_loop(
    recipe: recipes.Recipe,
    shape: tuple[int, int, int],
    devices: Sequence[jax.Device],
    *,
    gans: int = 1,
) -> jax.stages.Compiled:
    """The loop that trains a recipe, of 60,000 images, compiled for devices.

    Args:
      recipe: what to train.
      shape: of an image, ``(height, width, channels)``.
      devices: that share each batch; of several GANs, the one device.
      gans: that are trained at once, by ``vmap``.
    """
    size, capacity = 60_000, 50
    examples = training.Examples(jax.ShapeDtypeStruct((size, *shape), jnp.uint8))
    alone = recipes.make_gan(recipe, shape=shape)

    def start(key: jax.Array) -> training.GANState:
        return training.init_state(alone, key, shape)

    sizes = {"batch_size": recipe.batch_size, "capacity": capacity}
    with backend.tracing_for("tpu" if devices[0].platform == "tpu" else "gpu"):
        if gans == 1:
            gan = recipes.make_gan(recipe, shape=shape, axis_name=placement.AXIS)
            state = jax.eval_shape(lambda: start(jax.random.key(0)))
            order = jax.ShapeDtypeStruct((size,), jnp.int32)
            shards = jax.ShapeDtypeStruct((len(devices),), jnp.int32)
            lowered = parallel.lower_train_steps(
                gan, state, examples, order, shards, devices, **sizes
            )
        else:
            each = jax.vmap(jax.vmap(start))
            keys = jax.eval_shape(
                lambda: jax.random.split(jax.random.key(0), (1, gans))
            )
            orders = jax.ShapeDtypeStruct((1, gans, size), jnp.int32)
            states = jax.eval_shape(each, keys)
            lowered = many.lower_train_steps(
                lambda _: alone, {}, states, examples, orders, devices, **sizes
            )
    return lowered.compile()
