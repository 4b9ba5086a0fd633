"""Numbers that go wrong: found, named, and kept out of means and checkpoints."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import UserError
from gan_jax.training import GANState, Metrics

_HINT = "start again in another --workdir with lower learning rates"


def names(tree: Any) -> list[str]:
    """Of the leaves of a pytree, as in ``generator.params.Dense_0.kernel``."""
    paths = [path for path, _ in jax.tree.leaves_with_path(tree)]
    return [jax.tree_util.keystr(p, simple=True, separator=".") for p in paths]


def first_non_finite(tree: Any) -> str | None:
    """Name of the first leaf of a pytree on the host that holds NaN or infinity."""
    for name, leaf in zip(names(tree), jax.tree.leaves(tree), strict=True):
        real = jnp.issubdtype(leaf.dtype, jnp.inexact)
        if real and not np.isfinite(leaf.astype(np.float32)).all():
            return name
    return None


def watched(state: GANState) -> Any:
    """What is looked at after every chunk; a checkpoint is searched as a whole."""
    players = {"generator": state.generator, "discriminator": state.discriminator}
    networks = {
        name: {"params": player.params, "batch_stats": player.batch_stats}
        for name, player in players.items()
    }
    return networks | {"ema": state.ema}


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """Whether each leaf of a pytree is finite: ``[leaves]``, bool."""
    # NaN and infinity times 0 are NaN. XLA compiles this in half the time of isfinite.
    return jnp.stack([jnp.sum(leaf * 0) == 0 for leaf in jax.tree.leaves(tree)])


@jax.jit
def report(metrics: Metrics, watched: Any, skipped: Any) -> jax.Array:
    """All that the host looks at after a chunk, as one array: one copy to the host.

    Returns:
      The metrics, sorted by name, ``[capacity]`` each; whether each of the watched
      leaves is finite; the number of skipped updates.
    """
    rows = [metrics[name] for name in sorted(metrics)]
    dtype = jnp.result_type(*rows)
    rest = all_finite(watched).astype(dtype)
    return jnp.concatenate([*rows, rest, jnp.asarray(skipped, dtype)[None]])


def skipped_updates(state: GANState) -> jax.Array:
    """How many updates ``--on_nan=skip`` has left out so far, of both networks."""
    players = (state.generator, state.discriminator)
    return sum(player.optimiser.total_notfinite for player in players)


def refuse(step: int, values: dict[str, np.ndarray]) -> None:
    """Refuses metrics that are not finite.

    Args:
      step: the last of the steps.
      values: each metric at each of the steps.

    Raises:
      UserError: one of them is not; the message has the name and the step.
    """
    for name, value in values.items():
        if not np.isfinite(value).all():
            first = step - len(value) + 1 + int(np.argmin(np.isfinite(value)))
            raise UserError(
                f"{name} is {value[~np.isfinite(value)][0]} at step {first}: stopped;"
                f" {_HINT}, or with --on_nan=skip"
            )


def refuse_state(step: int, leaves: list[str], finite: np.ndarray) -> None:
    """Refuses a state that is not finite.

    Args:
      step: that it was found at.
      leaves: `names` of the `watched` state.
      finite: `all_finite` of it.

    Raises:
      UserError: a leaf is not.
    """
    if not finite.all():
        name = leaves[int(np.argmin(finite))]
        raise UserError(f"{name} is NaN or infinite by step {step}: stopped; {_HINT}")


def mean(values: np.ndarray) -> float | None:
    """Mean of the finite values, in float64; None where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if len(finite) else None
