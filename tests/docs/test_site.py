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


_PAGE = "# Page\n\n## Part\n\n[a part](index.md#part)\n"


@pytest.mark.parametrize(
    ("what", "text", "said"),
    [
        ("all is well", "", None),
        ("a page that is not there", "[x](none.md)", "'none.md'"),
        ("a heading that is not there", "[x](index.md#none)", "no such anchor"),
        ("a picture that is not there", "![x](none.png)", "'none.png'"),
        ("a folder", "[x](folder)", "'folder'"),
        ("an absolute path", "[x](/index.md)", "absolute"),
    ],
)
def test_a_build_fails_on(what, text, said, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(_PAGE + text)
    settings = "docs_dir: docs\nnav: [index.md]\nplugins: [search]\n"
    inherited = f"INHERIT: {pages.ROOT / 'mkdocs.yml'}\n"
    (tmp_path / "mkdocs.yml").write_text(inherited + settings)
    status, errors = _build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert status == (1 if said else 0), errors
    assert (said or "") in errors


def test_a_build_fails_on_a_page_that_nobody_finds(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in ("index", "other"):
        (tmp_path / "docs" / f"{name}.md").write_text("# Page\n")
    settings = "docs_dir: docs\nnav: [index.md]\nplugins: [search]\n"
    inherited = f"INHERIT: {pages.ROOT / 'mkdocs.yml'}\n"
    (tmp_path / "mkdocs.yml").write_text(inherited + settings)
    status, errors = _build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert status == 1
    assert "other.md" in errors
