"""The plan of a release: a file that binds what is live to what is to be, and says by which rules it is judged.

Its ``digest`` covers every other field: a plan that somebody edited is refused. It holds hashes of documents without
their secrets, so it can be committed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from difyops.dsl.canonical import canonical, normalized
from difyops.dsl.load import dump_yaml, load_yaml
from difyops.dsl.secrets import redact
from difyops.errors import Refused, UsageError

FORMAT = "difyops-release/1"
DRAFT, SNAPSHOT, FILE, PROMOTION = "draft", "snapshot", "file", "promotion"
P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """How copies are tried. ``calls``: recorded inputs, 0 for none. ``least``: pairs that must have counted.

    ``tokens``: most that both copies may use together, 0 for no limit. ``inputs``: a file, blank for recorded runs.
    """

    calls: int = 50
    least: int = 10
    at_once: int = 2
    seconds: float = 1800.0
    tokens: int = 0
    allow_effects: bool = False
    inputs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """How the published version is watched. ``events``: runs of it that are enough to pass; ``least``: new runs between
    two looks; ``seconds``: how long; ``every``: seconds between readings of the log; ``back``: how much history counts.
    """

    events: int = 50
    least: int = 5
    seconds: float = 3600.0
    every: float = 15.0
    back: float = 7 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """``alpha``: how often two equal versions may be told apart. ``slower``, ``dearer``, ``pricier``: shares of the old
    median that a proven shift of time, tokens or price must exceed to fail; ``None``: the price is not judged, for that
    the nodes of runs must be read.
    """

    alpha: float = 0.01
    slower: float = 0.25
    dearer: float = 0.25
    pricier: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesGate:
    """Evaluation cases as a gate. ``file`` and ``hash``: the cases; ``count`` of them. ``baseline``: the tag of a kept
    result that stands for the old version, blank: it is asked itself. ``margin``: the share of cases that may be lost,
    to be proven; 0: a loss must not be proven.
    """

    file: str
    hash: str
    count: int
    baseline: str = ""
    margin: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One side. ``source``: draft, snapshot, file, promotion; for the live side blank. ``word``: the tag, path or
    context that it was named by. ``hash``: of its document without secrets. ``id``: of the live version.
    """

    hash: str
    source: str = ""
    word: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """One release of one app. ``effects``: nodes that write outside; ``changes``: what differs, in words."""

    context: str
    url: str
    app_id: str
    app_name: str
    mode: str
    made_at: str
    live: Version
    target: Version
    shadow: Shadow = field(default_factory=Shadow)
    watch: WatchRules = field(default_factory=WatchRules)
    gates: Gates = field(default_factory=Gates)
    cases: CasesGate | None = None
    changes: tuple[str, ...] = ()
    effects: tuple[str, ...] = ()
    wait_for_slots: bool = True
    format: str = FORMAT

    @property
    def digest(self) -> str:
        """Return what signs the plan."""
        return digest_of(dataclasses.asdict(self))

    def as_data(self) -> dict[str, Any]:
        """Return the plan as a file holds it."""
        return signed(dataclasses.asdict(self))


def runs_of(plan: ReleasePlan) -> int:
    """Return how many runs a release may ask for itself: both copies, and what is live, twice where cases fail."""
    return 2 * plan.shadow.calls + (4 * plan.cases.count if plan.cases else 0)


def hash_of(document: Mapping[str, Any]) -> str:
    """Return the hash of what a document does, whatever its secrets and its layout are."""
    return hash_of_plain(redact(dict(document)).document)


def hash_of_plain(document: Mapping[str, Any]) -> str:
    """Return the same hash of a document in which secrets are marks already."""
    return hashlib.sha256(canonical(normalized(document))).hexdigest()[:32]


def digest_of(body: Mapping[str, Any]) -> str:
    """Return what signs a plan: the hash of everything else in it."""
    return hashlib.sha256(canonical({key: item for key, item in body.items() if key != "digest"})).hexdigest()[:32]


def signed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan's fields, signed."""
    plain: dict[str, Any] = json.loads(json.dumps(body))
    return {**plain, "digest": digest_of(plain)}


def write_plan(path: Path, body: Mapping[str, Any]) -> None:
    """Write a plan: YAML, or JSON where the name ends in ``.json``.

    Raises:
        UsageError: it cannot be written.
    """
    text = json.dumps(body, indent=2, sort_keys=True) + "\n" if path.suffix == ".json" else dump_yaml(dict(body))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error


def read_body(path: Path, wanted: str) -> dict[str, Any]:
    """Return the fields of a plan file.

    Raises:
        UsageError: no such file, or no plan of format ``wanted``. Refused: it was changed after it was made.
    """
    try:
        body = load_yaml(path.read_bytes(), what=str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not isinstance(body, dict) or body.get("format") != wanted:
        found = body.get("format") if isinstance(body, dict) else None
        raise UsageError(f"{path}:1: format: expected {wanted}, found {found!r}.", hint="difyops release plan --help")
    if body.get("digest") != digest_of(body):
        raise Refused(f"{path} was changed after the plan was made.", hint="Make the plan again with other options.")
    return body


def read_plan(path: Path) -> ReleasePlan:
    """Return the plan in a file.

    Raises:
        UsageError: it cannot be read. Refused: it was changed.
    """
    return plan_of(read_body(path, FORMAT), what=str(path))


def plan_of(body: Mapping[str, Any], *, what: str = "the plan") -> ReleasePlan:
    """Return the plan that these fields are.

    Raises:
        UsageError: fields are missing or unknown.
    """
    return built(ReleasePlan, {key: item for key, item in body.items() if key != "digest"}, what)


def built(kind: type[P], body: Any, what: str) -> P:
    """Return a dataclass of this file from plain data, its inner ones and tuples included.

    Raises:
        UsageError: fields are missing or unknown.
    """
    if not isinstance(body, Mapping):
        raise UsageError(f"{what}: expected fields of {kind.__name__}.")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, item in body.items():
        inner = hints.get(key)
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            values[key] = built(inner, item, f"{what}: {key}")
        elif isinstance(item, list):
            values[key] = _items(inner, item, f"{what}: {key}")
        elif isinstance(item, Mapping) and (maybe := _optional(inner)) is not None:
            values[key] = built(maybe, item, f"{what}: {key}")
        else:
            values[key] = item
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"{what}: {error}.", hint="Make the plan again.") from error


def _items(hint: Any, items: list[Any], what: str) -> tuple[Any, ...]:
    """Return a tuple, of dataclasses where the hint says so."""
    kind = next(iter(get_args(hint)), None)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return tuple(built(kind, item, f"{what}[{place}]") for place, item in enumerate(items))
    return tuple(items)


def _optional(hint: Any) -> type | None:
    """Return the dataclass in ``X | None``."""
    return next((item for item in get_args(hint) if isinstance(item, type) and dataclasses.is_dataclass(item)), None)
