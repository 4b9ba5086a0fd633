"""The tables from a loss's name to everything that trains it.

The published numbers are those of the reference networks (Adam 1e-3, betas 0.5 and
0.999, one discriminator step per generator step), and of each loss's paper where the
loss needs its own. The tuned ones give better samples of the reference networks after
one epoch of Fashion-MNIST: docs/quality.md says how much, and how they were found.
"""

import dataclasses
from typing import Any

from gan_jax import optimisers, own_code
from gan_jax.errors import UserError, check_name
from gan_jax.penalties import PENALTIES
from gan_jax.recipes.recipe import Recipe, check

PUBLISHED: dict[str, Recipe] = {
    recipe.loss: recipe
    for recipe in (
        Recipe("minimax"),
        Recipe("nonsaturating"),
        Recipe("kl"),
        Recipe(
            "wasserstein",
            clip=0.01,
            critic_steps=5,
            optimiser="rmsprop",
            generator_lr=5e-5,
            discriminator_lr=5e-5,
        ),
        Recipe("wasserstein_gp", penalty="gradient_penalty", penalty_weight=10.0),
        Recipe("hinge"),
        Recipe("least_squares"),
        Recipe("relativistic", penalty="r1_r2", penalty_weight=1.0),
    )
}

# Found by experiments.measure.tune (docs/results/tuning_*.json). Those in batches of
# 16, but for wasserstein's, are here for 8, by the rule for Adam of Malladi et al.
# 2022: rates by a square root, 1 - beta2 and 1 - the average's decay by the ratio.
# Averages are as long as one epoch wants it, and longer later: docs/quality.md.
_SMALL_STEPS = {"batch_size": 8, "beta1": 0.0, "ema_grows_from": 7_500}
_WITH_R1 = _SMALL_STEPS | {  # of hinge
    "generator_lr": 2.7e-3,
    "discriminator_lr": 1.1e-3,
    "beta2": 0.986,
    "ema_decay": 0.986,
    "penalty": "r1",
    "penalty_weight": 5.2,
}
_LEAST_SQUARES = _SMALL_STEPS | {
    "generator_lr": 2.4e-3,
    "discriminator_lr": 7.3e-4,
    "beta2": 0.981,
    "ema_decay": 0.985,
    "penalty": "r1",
    "penalty_weight": 28.0,
}
_RELATIVISTIC = _SMALL_STEPS | {  # of nonsaturating, but for the weight
    "generator_lr": 4.1e-3,
    "discriminator_lr": 7.2e-4,
    "beta2": 0.9923,
    "ema_decay": 0.9909,
    "penalty_weight": 3.0,
}
_WASSERSTEIN_GP = _SMALL_STEPS | {
    "generator_lr": 7.9e-3,
    "discriminator_lr": 1.2e-3,
    "beta2": 0.99911,
    "ema_decay": 0.9929,
    "penalty_weight": 4.0,
}
_WASSERSTEIN = {
    "batch_size": 16,
    "critic_steps": 1,
    "generator_lr": 4.6e-3,
    "discriminator_lr": 1.7e-4,
    "clip": 0.05,
    "ema_decay": 0.9976,
}


def _tuned(numbers: dict[str, dict[str, Any]]) -> dict[str, Recipe]:
    return {
        loss: dataclasses.replace(PUBLISHED[loss], **changed)
        for loss, changed in numbers.items()
    }


TUNED = _tuned(
    {
        "minimax": _WITH_R1,
        "nonsaturating": _WITH_R1,
        "kl": _WITH_R1,
        "wasserstein": _WASSERSTEIN,
        "wasserstein_gp": _WASSERSTEIN_GP,
        "hinge": _WITH_R1,
        "least_squares": _LEAST_SQUARES,
        "relativistic": _RELATIVISTIC,
    }
)

# Of other networks, and of losses of one's own, which no search has seen: larger
# batches, and a slower generator, as were found by hand (docs/results/tuning.md).
# wasserstein has one recipe for all networks, as was seen with three more.
_MODERATE = {
    "batch_size": 32,
    "generator_lr": 2e-3,
    "discriminator_lr": 2e-3,
    "beta1": 0.0,
    "beta2": 0.9,
    "ema_decay": 0.99,
}
_MODERATE_R1 = _MODERATE | {"penalty": "r1", "penalty_weight": 3.0}
_TUNED_ELSEWHERE = _tuned(
    {
        "minimax": _MODERATE_R1,
        "nonsaturating": _MODERATE_R1,
        "kl": _MODERATE_R1,
        "wasserstein": _WASSERSTEIN,
        "wasserstein_gp": _MODERATE,
        "hinge": _MODERATE_R1,
        "least_squares": _MODERATE_R1,
        "relativistic": _MODERATE,
    }
)

TABLES = {"published": PUBLISHED, "tuned": TUNED}

# The weight that a penalty's paper gives it, for when a user adds one to a loss.
_PENALTY_WEIGHTS = {"gradient_penalty": 10.0, "one_sided": 10.0, "dragan": 10.0}
LR_SCALING = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}  # powers of the batch size


def recipe(loss: str, table: str = "published", **overrides: Any) -> Recipe:
    """The recipe of a loss, with some of its numbers replaced.

    Args:
      loss: name in `LOSSES`, or of one's own: that has the recipe of all others, and
        no penalty.
      table: name in `TABLES`; what is tuned depends on the network.
      **overrides: attributes of `Recipe`; None keeps the recipe's own. A penalty takes
        the place of the recipe's clipping; with ``clip`` as well, there are both. An
        ``ema_decay`` does not grow, unless ``ema_grows_from`` is given as well.

    Returns:
      The checked recipe.

    Raises:
      UserError: an unknown name, a number out of range, a contradiction, or a beta for
        an optimiser of one's own that cannot be run.
    """
    check_name("recipe", table, TABLES)
    own_code.check("loss", "loss", loss, TABLES[table])
    given = {name: value for name, value in overrides.items() if value is not None}
    base = _base(loss, table, given)
    if "clip" in given and base.clip is None:
        raise UserError(
            f"--clip={given['clip']} contradicts --loss={loss}, which clips no weights:"
            " leave it out, or use --loss=wasserstein"
        )
    penalty = given.get("penalty", base.penalty)
    own_code.check("penalty", "penalty", penalty, ["none", *PENALTIES])
    if "penalty_weight" in given and penalty == "none":
        raise UserError(
            f"--penalty_weight={given['penalty_weight']} without a penalty: name one"
            f" with --penalty ({', '.join(PENALTIES)})"
        )
    if penalty not in ("none", base.penalty):
        given.setdefault("penalty_weight", _PENALTY_WEIGHTS.get(penalty, 1.0))
        given.setdefault("clip", None)
    if penalty == "none":
        given["penalty_weight"] = 0.0
    if "ema_decay" in given:
        given.setdefault("ema_grows_from", 0)
    result = dataclasses.replace(base, **given)
    check(result)
    _refuse_betas(result, {"beta1", "beta2"} & given.keys())
    return result


def _refuse_betas(recipe: Recipe, given: set[str]) -> None:
    """Refuses those that the optimiser does not take; runs one's own to know it."""
    for name in sorted(given):
        argument = name.replace("eta", "")
        if argument in optimisers.takes(recipe.optimiser):
            continue
        if own_code.is_own(recipe.optimiser):
            raise UserError(
                f"--{name}: --optimiser={recipe.optimiser} has no argument {argument}:"
                " leave it out, or add one"
            )
        raise UserError(
            f"--beta1 and --beta2 are Adam's, and --loss={recipe.loss} trains with"
            f" {recipe.optimiser}: leave them out, or use --optimiser=adam"
        )


def _base(loss: str, table: str, given: dict[str, Any]) -> Recipe:
    """The recipe to change; of a loss of one's own, that of all others."""
    if table == "published":
        return PUBLISHED.get(loss) or Recipe(loss)
    if loss not in TUNED or given.get("network", "reference") != "reference":
        return _TUNED_ELSEWHERE.get(loss) or Recipe(loss, **_MODERATE)
    return TUNED[loss]


def scale(recipe: Recipe, batch_size: int, rule: str) -> Recipe:
    """Learning rates for another batch size than they were found with.

    Args:
      recipe: with the batch size to train with.
      batch_size: that the learning rates are for.
      rule: "none"; "sqrt", after the noise of Adam and RMSProp; "linear", after SGD's.

    Returns:
      The recipe with both learning rates multiplied by (batch size / that of the
      learning rates) to the power 0, 1/2 or 1; nothing else changes.

    Raises:
      UserError: a learning rate is no longer a finite number above 0.

    Sources:
      linear: Goyal et al. 2017, https://arxiv.org/abs/1706.02677
      sqrt: Krizhevsky 2014, https://arxiv.org/abs/1404.5997, from the variance of the
        gradient (his runs are linear); Malladi et al. 2022,
        https://arxiv.org/abs/2205.10287, for Adam and RMSProp, whose betas and epsilon
        they move as well
    """
    factor = (recipe.batch_size / batch_size) ** LR_SCALING[rule]
    scaled = dataclasses.replace(
        recipe,
        generator_lr=recipe.generator_lr * factor,
        discriminator_lr=recipe.discriminator_lr * factor,
    )
    check(scaled)
    return scaled
