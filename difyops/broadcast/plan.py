"""Who is asked what: members (selectors) and app lists become targets. Pure; no call is made here.

A target is refused here when the app list alone says that its run must fail: nothing published, or a mode that has no
run. Everything else (keys, forms) is found when its turn comes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from difyops.api.model import AGENT_MODE, CHAT_MODES, WORKFLOW_MODES, App
from difyops.api.run_faults import UNPUBLISHED, WRONG_MODE, RunFailed
from difyops.counting import counted
from difyops.errors import OutOfBudget, SelectorError, UsageError
from difyops.settings import Named
from difyops.targets import select

RUNNABLE = WORKFLOW_MODES | CHAT_MODES | {AGENT_MODE}
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One wish of a panel or command line: a selector, perhaps only in one context, perhaps with its own inputs."""

    SHORT: ClassVar[str] = "app"

    selector: Annotated[str, Named("app"), "a selector of apps"]
    context: Annotated[str | None, "only in this one"] = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    question_as: Annotated[str | None, "the input that takes the question"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file for the question: bytes with a media type, or a URL; ``into`` names the input it belongs to."""

    name: str
    into: str | None = None
    content: bytes = field(default=b"", repr=False)
    media_type: str = "application/octet-stream"
    url: str | None = None

    @property
    def kind(self) -> str:
        """Return the platform's word for the media type: image, audio, video or document."""
        head = self.media_type.partition("/")[0]
        return head if head in ("image", "audio", "video") else "document"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One agent to ask. ``id`` is ``context/app id``, with ``#2`` when one app is asked twice with other inputs.

    ``question``: its own, in the place of the plan's; a blank one asks with the inputs alone.
    """

    id: str
    context: str
    app: App
    inputs: Mapping[str, Any] = field(default_factory=dict)
    question_as: str | None = None
    repeatable: bool = False
    refusal: RunFailed | None = None
    question: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastPlan:
    """What will be asked of whom. ``warnings`` name what was left aside."""

    question: str
    targets: tuple[Target, ...]
    attachments: tuple[Attachment, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def estimate(self) -> int:
        """Return the fewest tokens this can cost: the question for every target, and a word of each answer."""
        asked = [target for target in self.targets if target.refusal is None]
        texts = (self.question if target.question is None else target.question for target in asked)
        return sum(math.ceil(len(text) / _CHARACTERS_PER_TOKEN) + 1 for text in texts)

    def check_budget(self, max_tokens: int | None) -> None:
        """Refuse what cannot fit.

        Raises:
            OutOfBudget: even the fewest tokens are more than ``max_tokens``.
        """
        if max_tokens is not None and self.estimate > max_tokens:
            raise OutOfBudget(
                f"{counted(len(self.targets), 'target costs', 'targets cost')} at least"
                f" {counted(self.estimate, 'token')}, the"
                f" budget is {max_tokens}.",
                hint="Raise --max-tokens or ask fewer targets; nothing was called.",
            )

    def check_wait(self, wait: int | None) -> None:
        """Refuse a quorum that cannot be reached.

        Raises:
            UsageError: there are fewer targets than ``wait`` answers.
        """
        if wait is not None and not 0 < wait <= len(self.targets):
            raise UsageError(f"Cannot wait for {counted(wait, 'answer')} from {counted(len(self.targets), 'target')}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What holds for every target: inputs, the input that takes the question, whether a run may be repeated."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    question_as: str | None = None
    repeatable: bool = False
    attachments: tuple[Attachment, ...] = ()


def make_plan(
    question: str, members: Sequence[Member], fleets: Mapping[str, Sequence[App]], wishes: Wishes | None = None
) -> BroadcastPlan:
    """Return the plan for ``question``; ``fleets`` are the apps by context name.

    A selector has to match in at least one of the contexts it is meant for. Targets keep the order of the members.

    Raises:
        UsageError: an empty question, or no member. SelectorError: a selector matches nothing anywhere.
    """
    wishes = wishes or Wishes()
    if not question.strip():
        raise UsageError("There is no question.", hint='Example: difyops broadcast "Are you well?" --to all')
    if not members:
        raise UsageError("Nobody is asked: no target was given.", hint="Add --to SELECTOR or --panel NAME.")
    targets: dict[tuple[str, ...], Target] = {}
    for member in members:
        for context, app in _matches(member, fleets):
            target = _target(member, context, app, wishes)
            key = (context, app.id, json.dumps(target.inputs, sort_keys=True, default=str), target.question_as or "")
            targets.setdefault(key, target)
    return BroadcastPlan(question=question, targets=_numbered(list(targets.values())), attachments=wishes.attachments)


def _matches(member: Member, fleets: Mapping[str, Sequence[App]]) -> list[tuple[str, App]]:
    if member.context is not None and member.context not in fleets:
        raise UsageError(f"{member.selector!r} is wanted in context {member.context!r}, which is not asked.")
    found: list[tuple[str, App]] = []
    refused: SelectorError | None = None
    for context, apps in fleets.items():
        if member.context not in (None, context):
            continue
        try:
            found += [(context, app) for app in select(apps, [member.selector])]
        except SelectorError as error:
            refused = refused or error
    if not found and refused is not None:
        raise refused
    return found


def _target(member: Member, context: str, app: App, wishes: Wishes) -> Target:
    return Target(
        id=f"{context}/{app.id}",
        context=context,
        app=app,
        inputs={**wishes.inputs, **member.inputs},
        question_as=member.question_as or wishes.question_as,
        repeatable=wishes.repeatable,
        refusal=_refusal(app),
    )


def _refusal(app: App) -> RunFailed | None:
    if app.mode not in RUNNABLE:
        return RunFailed(f"Apps of mode {app.mode!r} cannot be asked.", kind=WRONG_MODE)
    if app.has_workflow and app.live_version is None:
        return RunFailed("The app was never published.", kind=UNPUBLISHED)
    return None


def _numbered(targets: Sequence[Target]) -> tuple[Target, ...]:
    seen: dict[str, int] = {}
    numbered: list[Target] = []
    for target in targets:
        seen[target.id] = seen.get(target.id, 0) + 1
        numbered.append(target if seen[target.id] == 1 else replace(target, id=f"{target.id}#{seen[target.id]}"))
    return tuple(numbered)
