"""Optimisers and schedules by name: every alias of optax, or one of the user's own.

An alias is a function of optax that gives an optimiser for a learning rate alone
(``adam``, ``adamw``, ``rmsprop``, ``sgd``, ``lion``...).
"""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from gan_jax import own_code
from gan_jax.errors import UserError, check_name, quote

WARMUP = 0.05  # share of the updates, of warmup_cosine
SCHEDULES = ("constant", "cosine", "warmup_cosine", "linear")

# Of WGAN, which was published with PyTorch's numbers.
_NUMBERS: dict[str, dict[str, Any]] = {
    "rmsprop": {"decay": 0.99, "eps": 1e-8, "eps_in_sqrt": False}
}


@functools.cache
def aliases() -> dict[str, Callable[..., optax.GradientTransformation]]:
    """The optimisers of optax by name."""
    found = {}
    for name, function in vars(optax).items():
        if not inspect.isfunction(function) or name.startswith("scale_by"):
            continue
        first, *others = inspect.signature(function).parameters.values() or [None]
        needed = [p for p in others if p.default is p.empty]
        if first is not None and first.name == "learning_rate" and not needed:
            found[name] = function
    return found


def check(name: str) -> None:
    """Refuses a name that is no optimiser's; runs nothing.

    Raises:
      UserError: it is neither an alias of optax nor written as one's own.
    """
    own_code.check("optimiser", "optimiser", name, sorted(aliases()))


def takes(name: str) -> set[str]:
    """Which of Adam's decays ``b1`` and ``b2`` an optimiser is given.

    Raises:
      UserError: one's own code cannot be run, or is no function.
    """
    function = _function(name)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # Python does not know
        return set()
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return {"b1", "b2"}
    return {"b1", "b2"} & parameters.keys()


def make(
    name: str,
    learning_rate: Any,
    *,
    beta1: Any,
    beta2: Any,
    schedule: str = "constant",
    updates: int | None = None,
) -> optax.GradientTransformation:
    """An optimiser by its name.

    Args:
      name: an alias of optax, or ``mine.py:NAME``: a function of the learning rate, and
        of ``b1`` and ``b2`` where it has such arguments, or ``**`` all others.
      learning_rate: at its highest; a real number or a tracer.
      beta1: of those that have ``b1``.
      beta2: of those that have ``b2``.
      schedule: in `SCHEDULES`, the learning rate over the updates: "constant";
        "cosine" and "linear", from the highest down to 0 after the last;
        "warmup_cosine", in the first 5 % of them, of which there are w, up from a w-th
        of the highest, and then as cosine.
      updates: how many there will be; a schedule that is not constant needs them.

    Returns:
      The optimiser; all other numbers are optax's own defaults, but for RMSProp, whose
      are PyTorch's.

    Raises:
      UserError: one's own code cannot be run or gives no optimiser; one whose state
        cannot be saved, or that needs more than gradients.
      ValueError: a schedule without ``updates``.
    """
    check_name("schedule", schedule, SCHEDULES)
    _check_state(name)
    if schedule != "constant":
        try:
            _check_state(name, scheduled=True)
        except UserError as error:
            raise UserError(
                f"--optimiser={name} takes no --schedule={schedule}: leave it out, or"
                " use --optimiser=adam"
            ) from error
    rate = _scheduled(learning_rate, schedule, updates)
    try:
        return _made(name, rate, beta1, beta2)
    except Exception as error:  # whatever somebody's code raises
        raise UserError(
            f"--optimiser={name} cannot be made with these numbers ({quote(error)}):"
            " mend it, or use others"
        ) from error


def _function(name: str) -> Callable[..., Any]:
    if not own_code.is_own(name):
        return aliases()[name]
    function = own_code.find("optimiser", name)[0]
    if not callable(function):
        raise UserError(
            f"--optimiser={name} is {type(function).__name__}, and no function of"
            " a learning rate that gives an optax.GradientTransformation"
        )
    return function


def _made(name: str, rate: Any, beta1: Any, beta2: Any) -> optax.GradientTransformation:
    function = _function(name)
    taken = takes(name)
    betas = {n: v for n, v in (("b1", beta1), ("b2", beta2)) if n in taken}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what optax will do differently some day
        return function(rate, **betas, **_NUMBERS.get(name, {}))


def _scheduled(peak: Any, schedule: str, updates: int | None) -> Any:
    """The learning rate over updates: a number, or a function of their count."""
    if schedule == "constant":
        return peak
    if updates is None:
        raise ValueError(
            f"schedule={schedule} needs to know how many updates there are"
        )
    if schedule == "linear":
        shape = optax.linear_schedule(1.0, 0.0, updates)
    elif schedule == "cosine":
        shape = optax.cosine_decay_schedule(1.0, updates)
    else:
        warmup = min(max(1, round(WARMUP * updates)), updates - 1)
        begin = 1 / max(1, warmup)  # at 0, the first update would change nothing
        shape = optax.warmup_cosine_decay_schedule(begin, 1.0, warmup, updates)
    return lambda count: peak * shape(count)


def _check_state(name: str, scheduled: bool = False) -> None:
    """Tries an optimiser, once for each source that its name stands for."""
    own = own_code.is_own(name)
    _try(name, own_code.source("optimiser", name)[1] if own else None, scheduled)


@functools.cache
def _try(name: str, source: str | None, scheduled: bool) -> None:
    """Tries an optimiser on two parameters, without computing anything."""
    del source  # of the key alone
    shapes = {"kernel": (2, 3), "bias": (3,)}
    params = {n: jax.ShapeDtypeStruct(s, jnp.float32) for n, s in shapes.items()}
    try:
        rate = (lambda count: 1e-3 / (count + 1)) if scheduled else 1e-3
        made = _made(name, rate, 0.5, 0.9)
        init, update = made.init, made.update
    except UserError:
        raise
    except Exception as error:  # whatever somebody's code raises
        raise UserError(
            f"--optimiser={name} gives no optimiser for a learning rate"
            f" ({quote(error)}): it has to give an optax.GradientTransformation"
        ) from error
    try:
        state = jax.eval_shape(init, params)
        kinds = {leaf.dtype for leaf in jax.tree.leaves(state)}
        lasting = all(map(_is_plain, kinds))
        why = ", ".join(sorted(map(str, kinds)))
    except Exception as error:  # of what is no array
        lasting, why = False, quote(error)
    if not lasting:
        raise UserError(
            f"--optimiser={name} has a state that cannot be saved ({why}): it has to be"
            " arrays of numbers"
        )
    try:
        updates, _ = jax.eval_shape(update, params, state, params)
        chex.assert_trees_all_equal_shapes(updates, params)
    except Exception as error:
        raise UserError(
            f"--optimiser={name} cannot be updated with gradients alone"
            f" ({quote(error)}): use another alias of optax"
        ) from error


def _is_plain(dtype: Any) -> bool:
    return not jnp.issubdtype(dtype, jax.dtypes.extended)
