"""In what the settings of two runs differ."""

from collections.abc import Collection
from typing import Any

from gan_jax.run.configuration import USUAL


def differences(
    there: dict[str, Any], here: dict[str, Any], but: Collection[str] = ("steps",)
) -> str:
    """The settings that differ, by the names of their flags; ``but`` may do so.

    With a schedule, the number of steps is a setting as any other.
    """
    may = {*but} - ({"steps"} if "schedule" in here else set())
    found = []
    for name in (*here, *(there.keys() & USUAL - here.keys())):
        before, now = (flags.get(name, USUAL.get(name)) for flags in (there, here))
        if name in may or before == now:
            continue
        if (
            name == "sources"
            and isinstance(before, dict)
            and before.keys() == now.keys()
        ):
            changed = [place for place in now if before[place] != now[place]]
            found.append(f"with {', '.join(changed)} as it was then")
        else:
            words = ["not given" if v is None else f"{v}" for v in (before, now)]
            found.append(f"--{name}={words[0]} there and {words[1]} now")
    return ", ".join(found)
