"""The documentation is built without a warning, and needs nothing from elsewhere."""

import html.parser
import os
import re
import subprocess
import sys

import pytest

from tests.docs import pages

pytestmark = pytest.mark.site
pytest.importorskip("material")
pytest.importorskip("mkdocstrings")
pytest.importorskip("l2m4m")


def _build(config, site):
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    argv += [f"--config-file={config}", f"--site-dir={site}"]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        argv, cwd=pages.ROOT, env=quiet, capture_output=True, text=True
    )
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "site"
    status, said = _build(pages.ROOT / "mkdocs.yml", folder)
    assert status == 0, said
    return folder


class _Parser(html.parser.HTMLParser):
    """What a page loads by itself, and its tags."""

    def __init__(self):
        super().__init__()
        self.loaded, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        if tag == "link" and found.get("rel") in ("canonical", "prev", "next"):
            return  # these are not loaded
        if tag != "a":
            self.loaded += [found[n] for n in ("src", "href", "srcset") if n in found]


def _parsed(path):
    parser = _Parser()
    parser.feed(path.read_text())
    return parser


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = {
        (path.name, target)
        for path in site.rglob("*.html")
        for target in _parsed(path).loaded
    }
    assert len(loaded) > 100
    assert [x for x in loaded if re.match(r"(\w+:)?//", x[1] or "")] == []
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text())


def test_equations_are_mathml(site):
    for page, text in pages.PAGES.items():
        if page.startswith("docs/"):
            unquoted = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
            unquoted = re.sub(r"^ {4}.*$", "", unquoted, flags=re.M)  # code
            wanted = len(re.findall(r"\$\$.+?\$\$|\$[^$\s][^$]*\$", unquoted, re.S))
            name = page.removeprefix("docs/").replace("README", "index")
            built = _parsed(site / name.replace(".md", ".html"))
            assert built.tags.count("math") == wanted, page
            assert "merror" not in built.tags, page


def test_every_room_of_the_library_has_its_reference_with_sources(site):
    from tests.test_layout import ROOMS

    for room in ROOMS:
        text = (site / "reference" / f"{room}.html").read_text()
        assert f'id="gan_jax.{room}"' in text
        assert "Source code in" in text, room


def _build_pages(folder, texts, nav):
    """Builds a site of these pages with the settings of ours: status, warnings."""
    (folder / "docs").mkdir()
    for name, text in texts.items():
        page = f"# Page\n\n## Part\n\n[a part](index.md#part)\n{text}\n"
        (folder / "docs" / f"{name}.md").write_text(page)
    settings = f"docs_dir: docs\nnav: [{', '.join(nav)}]\nplugins: [search]\n"
    inherited = f"INHERIT: {pages.ROOT / 'mkdocs.yml'}\n"
    (folder / "mkdocs.yml").write_text(inherited + settings)
    status, said = _build(folder / "mkdocs.yml", folder / "site")
    return status, [line for line in said.splitlines() if "WARNING" in line], said


def test_a_site_without_a_mistake_is_built(tmp_path):
    status, warnings, said = _build_pages(tmp_path, {"index": ""}, ["index.md"])
    assert (status, warnings) == (0, []), said


# By page: what is wrong in it, and a part of the warning.
_MISTAKES = {
    "page": ("[x](none.md)", "'none.md'"),
    "heading": ("[x](index.md#none)", "anchor '#none'"),
    "picture": ("![x](none.png)", "'none.png'"),
    "place": ("[x](folder)", "'folder'"),
    "path": ("[x](/index.md)", "absolute"),
}


def test_a_build_fails_on_every_mistake(tmp_path):
    """Links to what is not there, and a page that nobody finds."""
    texts = {name: text for name, (text, _) in _MISTAKES.items()}
    nav = ["index.md", *(f"{name}.md" for name in texts)]
    texts |= {"index": "", "unlisted": ""}
    status, warnings, said = _build_pages(tmp_path, texts, nav)
    assert status == 1, said
    assert len(warnings) == len(_MISTAKES) + 1, said
    assert "\n  - unlisted.md\n" in said
    for name, (_, words) in _MISTAKES.items():
        [line] = [line for line in warnings if f"'{name}.md'" in line]
        assert words in line
