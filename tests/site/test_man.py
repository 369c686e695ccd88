"""Manual pages: one a noun, well formed for groff, in the wheel's data; sdist and wheel install where nothing is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from difyops import __version__
from difyops.cli.completion_tree import tree
from difyops.cli.manual.man import manual_pages, text
from difyops.cli.root import GROUPS, commands
from difyops.cli.table import entries

ROOT = Path(__file__).parents[2]
PAGES = manual_pages()


def shown(page: str, *, width: int = 78) -> str:
    """Return a page as a terminal shows it, and fail on what groff warns of."""
    words = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", f"-rLL={width}n"]
    done = subprocess.run(words, input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_every_noun_has_a_page_with_all_its_commands() -> None:
    assert {*PAGES} == {"difyops.1", *(f"difyops-{noun}.1" for noun in GROUPS)}
    for entry in entries():
        page = PAGES[f"difyops-{entry.words[0]}.1"]
        assert f'.SH "{text(entry.name.upper())}"' in page
        assert all(text(line) in page for line in entry.examples)


def test_no_text_is_a_request() -> None:
    fine = r"\.(?:TH|SH|TP|PP|B|I|BR|RI|br|nf|fi|RS|RE)\b|[^.']"
    for name, page in PAGES.items():
        assert [line for line in page.splitlines() if not re.match(fine, line)] == [], name


@pytest.mark.parametrize(
    ("said", "roff"),
    [(".so /etc/passwd", "\\&.so /etc/passwd"), ("'br", "\\(aqbr"), ("a\\fBb", "a\\efBb"), ("--x ``y``", "\\-\\-x y")],
)
def test_text_is_shown_and_never_obeyed(said: str, roff: str) -> None:
    assert text(said) == roff


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("name", ["difyops.1", "difyops-snapshot.1", "difyops-validate.1"])
def test_groff_has_nothing_to_say(name: str) -> None:
    page = shown(PAGES[name])
    assert "EXIT STATUS" in page
    assert f"difyops {__version__}" in page
    if name == "difyops-snapshot.1":
        assert "difyops snapshot rollback support-triage --to v1 --dry-run" in page


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the wheel and the sdist as ``make dist`` does."""
    folder = str(tmp_path_factory.mktemp("dist"))
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    (sdist,) = SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return Path(wheel), Path(sdist)


def test_the_wheel_has_the_pages_and_the_sdist_what_it_takes_to_build_them(built: tuple[Path, Path]) -> None:
    wheel, sdist = built
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        data = f"difyops-{__version__}.data/data/share/man/man1/"
        assert {name.removeprefix(data) for name in names if name.startswith(data)} == {*PAGES}
        assert archive.read(f"{data}difyops-app.1").decode() == PAGES["difyops-app.1"]
        assert json.loads(archive.read("difyops/cli/completion-tree.json")) == json.loads(
            json.dumps(tree(__version__, commands()))
        )
        assert f"difyops-{__version__}.dist-info/licenses/LICENSE" in names
        assert not [name for name in names if name.startswith(("tests/", "docs/", "deploy/"))]
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE", "SECURITY.md", "README.md", "CHANGELOG.md", "hatch_build.py", "action.yml", "Dockerfile",
        "docs/conf.py", "docs/_static/difyops.css", "requirements/base.lock", "tests/conftest.py",
    } <= held  # fmt: skip
    assert not [name for name in held if name.startswith((".venv", "build", "dist", ".git/"))]


@pytest.mark.long
@pytest.mark.timeout(1800)  # it asks the registry
def test_both_install_in_a_clean_environment(built: tuple[Path, Path], tmp_path: Path) -> None:
    for number, package in enumerate(built):
        place = tmp_path / str(number)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        pip = [f"{place}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, str(package)], check=True)
        ran = subprocess.run([f"{place}/bin/difyops", "--version"], capture_output=True, text=True, check=True)
        assert ran.stdout == f"difyops {__version__}\n"
        assert (place / "share/man/man1/difyops-snapshot.1").exists()
        subprocess.run([f"{place}/bin/difyops", "runbook", "list", "-q"], check=True, cwd=tmp_path)
