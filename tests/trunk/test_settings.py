"""One reader: what a dataclass says a file may hold, in messages and as JSON Schema; durations and sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from difyops.cli.door import seconds
from difyops.cli.schema import FILES, file_schema
from difyops.errors import ConfigError, UsageError
from difyops.runbook import parameters
from difyops.runbook.library import shipped_folder
from difyops.setting_problems import BadSetting
from difyops.setting_values import Duration, Reference, Text, duration, one_of, size, whole
from difyops.settings import KEY, Fault, Named, read, schema_of, written
from difyops.settings_file import load_file, read_file
from difyops.validation.judge import compile_schema
from tests.conftest import Cli


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("500ms", 0.5),
        ("10m", 600.0),
        ("1.5h", 5400.0),
        ("7d", 604800.0),
        (" 2 h ", 7200.0),
    ],
)
def test_a_duration_is_the_same_on_the_command_line_and_in_a_runbook(text: str, found: float) -> None:
    assert duration(text) == seconds(text) == parameters.seconds(text) == found


@pytest.mark.parametrize(
    "value", ["", "s", "-1s", "1w", "nan", "inf", "1e3", "\u0663s\n5", None, True, -1, [], 10**400]
)
def test_what_is_no_duration_is_refused_by_all(value: Any) -> None:
    with pytest.raises(BadSetting):
        duration(value)
    with pytest.raises(BadSetting):
        parameters.seconds(value)
    if isinstance(value, str):
        with pytest.raises(UsageError):
            seconds(value)


def test_nothing_at_all_is_a_duration_only_where_at_once_has_a_meaning() -> None:
    assert duration("0s") == seconds("0s", zero=True) == 0.0
    with pytest.raises(BadSetting):
        duration("0s", zero=False)
    with pytest.raises(UsageError):
        seconds("0s")


@pytest.mark.parametrize(("text", "found"), [("512", 512), ("64KB", 65536), ("1.5gb", 1610612736), (10, 10)])
def test_a_size(text: Any, found: int) -> None:
    assert size(text) == found


@pytest.mark.parametrize("value", ["", "KB", "-1", "1XB", None, True])
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(BadSetting):
        size(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perch:
    SHORT: ClassVar[str] = "wood"

    wood: str
    height: Annotated[int, whole(1, 9)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bird:
    name: Annotated[str, KEY]
    kind: Annotated[str, one_of("owl", "wren"), Named("class"), "which bird"]
    wakes: Annotated[Duration | None, "after dusk"] = None
    perches: tuple[Perch, ...] = ()
    key: Reference | None = None
    quiet: bool = False
    note: Text = ""

    def faults(self) -> Iterator[Fault]:
        if self.quiet and self.wakes is not None:
            yield ("quiet",), "goes not with wakes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aviary:
    birds: Mapping[str, Bird]
    sizes: Mapping[str, int] = field(default_factory=dict)


GOOD = "birds:\n  ann: {class: owl, wakes: 5m, perches: [oak, {wood: ash, height: 2}], note: 7}\n"
GOOD += "  bob: {class: wren, key: ''}\n"
WRONG = """\
birds:
  ann:
    clas: owl
    wakes: soon
    perches:
      - {wood: oak, height: 20}
      - 5
    key: canary
  bob: {class: owl, quiet: true, wakes: 1h}
  cee: wren
sizes: [1]
"""


def test_a_file_is_what_its_dataclass_says(tmp_path: Path) -> None:
    path = tmp_path / "birds.yaml"
    path.write_text(GOOD)
    ann, bob = read_file(Aviary, path)[0].birds.values()
    assert (ann.name, ann.kind, ann.wakes, ann.note) == ("ann", "owl", 300.0, "7")
    assert ann.perches == (Perch(wood="oak"), Perch(wood="ash", height=2))
    assert (bob.key, bob.perches) == (None, ())
    assert written(ann.perches[1]) == {"wood": "ash", "height": 2}


def test_everything_wrong_is_told_with_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "birds.yaml"
    path.write_text(WRONG)
    with pytest.raises(ConfigError) as caught:
        read_file(Aviary, path)
    told = [(item["line"], item["field"]) for item in caught.value.details["problems"]]  # type: ignore[attr-defined]
    assert told == [
        (2, "birds.ann.class"), (3, "birds.ann.clas"), (4, "birds.ann.wakes"), (6, "birds.ann.perches[0].height"),
        (7, "birds.ann.perches[1]"), (8, "birds.ann.key"), (9, "birds.bob.quiet"), (10, "birds.cee"), (11, "sizes"),
    ]  # fmt: skip
    message = caught.value.message
    assert f"{path}:2: birds.ann.class: this field is required: which bird." in message
    assert "did you mean 'class'?" in message
    assert message.endswith("(4 more)")
    assert "canary" not in str(caught.value.details)


def test_json_is_read_with_lines_and_its_own_escapes(tmp_path: Path) -> None:
    path = tmp_path / "birds.json"
    path.write_text('{"birds": {"ann": {"class": "owl",\n"note": "\\ud83e\\udd89 \\u00e9"}}}')
    assert read_file(Aviary, path)[0].birds["ann"].note == "\U0001f989 \xe9"
    path.write_text('{"birds":\n{"ann": {"class": "emu"}}}')
    with pytest.raises(ConfigError, match=r"birds.json:2: birds.ann.class: 'emu' is none of owl, wren"):
        read_file(Aviary, path)


BODIES = [{"birds": {"a": {"class": "owl"}}}, {"birds": {}}, {}, {"birds": {"a": {}}}, {"bird": {}}]


@pytest.mark.parametrize("body", BODIES)
def test_schema_and_reader_agree(body: Any) -> None:
    try:
        read(Aviary, body)
        fits = True
    except ConfigError:
        fits = False
    assert (not compile_schema(schema_of(Aviary)).violations(body)) == fits


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_a_schema(name: str) -> None:
    found = file_schema(name)
    compile_schema(found)
    assert found["type"] == "object"


@pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_runbook_fits_the_schema_of_runbooks(path: Path) -> None:
    assert not compile_schema(file_schema("runbook")).violations(load_file(path)[0])


def test_each_thing_that_is_wrong_has_a_line_of_its_own(cli: Cli, connected: str, own_place: Path) -> None:
    Path("slo.yaml").write_text("goals:\n" + "  - {name: A B, kind: z}\n" * 3)
    said = cli("slo", "status").err.splitlines()
    assert all(line.startswith(f"error: {Path('slo.yaml').resolve()}:") for line in said[:5])
    assert said[5].startswith("error: ")
    assert "more are wrong" in said[5]
    assert len(cli("slo", "status", "-o", "json").json["error"]["details"]["problems"]) > 5
    Path("slo.yaml").write_text("goals: 3\n")
    assert "goals: expected a list, found the number 3." in cli("slo", "status").err
