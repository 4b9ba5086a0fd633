"""Eight simulated CPU devices, strict rank promotion, compiled programs kept."""

import gc
import os
import pathlib

import filelock
import jax
import jaxlib.version
import pytest

# Most of the suite's time is compilation: let XLA optimise as little as it can, here
# and in the processes that tests start. CI runs the numerical tests compiled as users'
# programs are as well.
_QUICKLY = "--xla_backend_optimization_level=0"
if jaxlib.version.__version_info__ < (0, 11):  # later ones do not know all of these
    _QUICKLY += " --xla_cpu_use_fusion_emitters=false"
    _QUICKLY += " --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("XLA_FLAGS", _QUICKLY)
# Nobody reads which line of Python an instruction comes from.
jax.config.update("jax_traceback_in_locations_limit", 0)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Compiled programs are shared by the workers of a run and by later runs.
_cache = os.environ.get("GAN_JAX_TEST_CACHE") or str(
    pathlib.Path(__file__).parents[1] / ".cache" / "xla"
)
jax.config.update("jax_compilation_cache_dir", _cache)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)

# Traced programs are a great many objects that live long: look at them less often.
gc.set_threshold(200_000, 50, 100)

# Files whose tests start processes one after another: begun first, so that no worker is
# left with one of them when the others have nothing more to do. And the report's, whose
# classifier other files wait for.
_LONGEST = ("torture", "processes", "theory", "quality", "signals", "report")
_LONGEST += ("cluster", "store", "executed")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem.removeprefix("test_") not in _LONGEST)


@pytest.fixture(scope="session")
def evaluation_cache(tmp_path_factory):
    """Where quick evaluations keep their classifier: one for all the workers.

    It is trained by a process whose programs are compiled to be fast.
    """
    from tests.processes.running import FAST, Process

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with filelock.FileLock(base / "cache.lock"):
        if not (base / "cache").exists():
            making = Process(
                ["tests.evaluation.reference"],
                XLA_FLAGS=FAST,
                GAN_JAX_CACHE_DIR=str(base / "cache"),
            )
            status, _, stderr = making.end()
            assert status == 0, stderr
    return base / "cache"


@pytest.fixture(scope="session")
def reference(evaluation_cache):
    """What samples are measured against, in small."""
    from tests.evaluation.reference import load

    return load(evaluation_cache)


@pytest.fixture
def small_networks(monkeypatch):
    """Networks that compile in no time, in place of the reference ones."""
    from tests import small

    small.install(monkeypatch.setattr)


@pytest.fixture(scope="module")
def small_networks_of_module():
    """The same for all tests of a module, and for what they share."""
    from tests import small

    with small.installed():
        yield
