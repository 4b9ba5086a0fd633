"""The pages of the documentation, and what stands in them."""

import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[2]
_FILES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in _FILES}
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)


def blocks(page, *languages):
    """The fenced blocks of these languages; of "", those without one."""
    return [
        t for _, language, t in _FENCE.findall(PAGES[page]) if language in languages
    ]


def lines_of_code(page):
    """Lines of blocks that are indented, or fenced for a shell, as lists of words.

    A line that ends with a backslash goes on in the next. A block follows an empty
    line: what is indented below a line of text is a part of it.
    """
    found, is_text = blocks(page, "", "bash", "sh"), False
    for line in _FENCE.sub("", PAGES[page]).replace("\\\n", "").split("\n"):
        is_code = line.startswith("    ") and not is_text
        is_text = bool(line.strip()) and not is_code
        if is_code:
            found.append(line.strip())
    commands = " && ".join(found).replace("\n", " && ").split(" && ")
    words = [shlex.split(line.replace("'s ", "s "), comments=True) for line in commands]
    return [some for some in words if some]


def sessions(page):
    """``(environment, words, what is printed)`` of blocks that begin with ``$``."""
    for block in blocks(page, "text"):
        typed, _, printed = block.partition("\n")
        if typed.startswith("$ "):
            yield *split_environment(shlex.split(typed[2:])), printed.strip()


def split_environment(words):
    """``NAME=value ... command``: the environment, and the command."""
    first = next(i for i, w in enumerate(words) if not re.fullmatch(r"[A-Z_]+=.*", w))
    return dict(word.split("=", 1) for word in words[:first]), words[first:]
