"""The locks that ``make setup`` installs: whole, hashed, fit for ``pyproject.toml``, and naming no registry."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
BASE = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
IMAGE = [*BASE, *(line for name in ("redis", "postgres", "socks") for line in EXTRAS[name])]
WANTED = {"base": BASE, "image": IMAGE, "dev": [*BASE, *(line for extra in EXTRAS.values() for line in extra)]}
HINT = "pyproject.toml and the lock disagree: run 'make lock' and commit what it writes"


def locked(name: str) -> dict[str, list[Requirement]]:
    """Return what a lock pins, by name; a name stands twice where the versions of Python differ."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    pins: dict[str, list[Requirement]] = {}
    for line in re.findall(r"^[A-Za-z0-9].*?(?= \\\n|\n)", text, re.MULTILINE):
        pin = Requirement(line)
        pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def is_for_us(pin: Requirement) -> bool:
    """Say whether a line of the lock is for this Python and system."""
    return pin.marker is None or pin.marker.evaluate()


def version_of(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==", f"{pin} is no exact version"
    return specifier.version


def unmet(wanted: Requirement, pins: dict[str, list[Requirement]]) -> list[str]:
    """Say where the lock has no version of ``wanted``, or one that it does not allow."""
    found = pins.get(canonicalize_name(wanted.name), [])
    if not found:
        return [f"{wanted}: not in the lock"]
    return [f"{wanted}: {pin}" for pin in found if not wanted.specifier.contains(version_of(pin), prereleases=True)]


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_holds_everything_that_pyproject_asks_for(name: str) -> None:
    wanted = [Requirement(line) for line in WANTED[name] if not line.startswith("difyops")]
    assert [line for each in wanted for line in unmet(each, locked(name))] == [], HINT


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_holds_what_its_packages_need(name: str) -> None:
    here = {package: [pin for pin in pins if is_for_us(pin)] for package, pins in locked(name).items()}
    pins = {package: some for package, some in here.items() if some}
    missing = []
    for package in pins:
        try:
            installed = metadata.distribution(package)
        except metadata.PackageNotFoundError:
            continue  # for another system or another Python
        if installed.version not in {version_of(pin) for pin in pins[package]}:
            continue  # somebody tries the newest
        needs = [Requirement(line) for line in installed.requires or []]
        missing += [
            line
            for each in needs
            if each.marker is None or each.marker.evaluate({"extra": ""})
            for line in unmet(each, pins)
        ]
    assert missing == [], HINT


@pytest.mark.parametrize("name", WANTED)
def test_the_lock_names_no_place_and_every_entry_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert "://" not in text
    assert "index" not in re.sub(r"#.*", "", text)
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if not entry.startswith("#")]
    assert len(entries) >= len(locked(name))
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["base", "image"])
def test_the_locks_agree(name: str) -> None:
    some, dev = locked(name), locked("dev")
    assert {name: [version_of(pin) for pin in pins] for name, pins in some.items()} == {
        name: [version_of(pin) for pin in dev[name]] for name in some
    }
