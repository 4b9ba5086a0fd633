"""The rooms: imports go one way, files are short, the library knows no flags."""

import ast
import graphlib
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
# From the bottom up: a room imports from those before it, and from itself.
ROOMS = (
    *("errors", "system", "backend", "own_code", "losses", "penalties", "optimisers"),
    *("plots", "networks", "training", "data", "recipes", "devices", "theory", "run"),
    *("export", "evaluation", "study", "explore"),
)
MOST_LINES = 300


def modules(top):
    """Dotted names of a package's modules, and their files."""
    paths = sorted((ROOT / top).rglob("*.py"))
    names = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
    return {
        ".".join(n[:-1] if n[-1] == "__init__" else n): path
        for n, path in zip(names, paths, strict=True)
    }


def imports(path, known):
    """Those of the known modules that a file imports, wherever it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in known else node.module)
    return found


LIBRARY, PROGRAMS = modules("gan_jax"), modules("experiments")
GRAPH = {
    name: imports(path, LIBRARY | PROGRAMS) & {*LIBRARY, *PROGRAMS}
    for name, path in (LIBRARY | PROGRAMS).items()
}


def room(module):
    return module.split(".")[1]


def test_every_room_is_in_the_order():
    assert {room(name) for name in LIBRARY if name != "gan_jax"} == {*ROOMS}


def test_imports_go_down():
    wrong = [
        (name, other)
        for name in LIBRARY.keys() - {"gan_jax"}  # its face, which is over all
        for other in GRAPH[name] - {"gan_jax"}
        if other in PROGRAMS or ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]
    assert wrong == []


def test_there_is_no_circle():
    faces = {name for name, path in LIBRARY.items() if path.name == "__init__.py"}
    graph = {name: others - faces for name, others in GRAPH.items()}
    assert len([*graphlib.TopologicalSorter(graph).static_order()]) > 100


def packages(path):
    """What a file imports from outside of the project and of Python."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"gan_jax"}


def test_what_is_computed_needs_few_packages():
    """Losses, penalties and steps can be copied into a project without this one's."""
    allowed = {
        "losses": {"jax", "chex"},
        "penalties": {"jax", "chex"},
        "optimisers": {"jax", "optax", "chex"},
        "training": {"jax", "flax", "optax", "chex", "numpy"},
        "networks": {"jax", "flax", "numpy"},
        "theory": {"jax", "flax", "optax", "chex", "numpy", "scipy"},
    }
    for name, path in LIBRARY.items():
        if name != "gan_jax" and room(name) in allowed:
            assert packages(path) <= allowed[room(name)], name


def test_the_library_knows_no_flags():
    for path in LIBRARY.values():
        assert "absl" not in path.read_text(), path


def test_no_function_is_defined_twice():
    """The second would take the place of the first, and lint may not see it."""
    for path in (LIBRARY | PROGRAMS).values():
        names = [
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        ]
        assert len(names) == len({*names}), path


def test_files_are_short():
    lengths = {
        path.relative_to(ROOT): len(path.read_text().splitlines())
        for path in (LIBRARY | PROGRAMS).values()
    }
    assert {p: n for p, n in lengths.items() if n > MOST_LINES} == {}
