"""What ``runbook new`` writes: a commented runbook that lints, runs and says what to change."""

from __future__ import annotations

import re
from pathlib import Path

from difyops import atomic_file
from difyops.errors import Refused, UsageError

_TEXT = """\
# A runbook: what to check, what may be done about it, and what a person does next.
#   difyops runbook lint {path}       is it right?
#   difyops runbook show {path}       how it reads at 3 AM
#   difyops runbook run {path}        run the checks; add --act for the actions
#   difyops runbook show --checks     all checks and actions with their parameters
runbook: {name}
title: {title}
why: >-
  One paragraph: what goes wrong, how it hurts, why a machine should look first.
symptoms:            # what somebody notices; ends up in the incident report
  - Users say that answers are slow or missing.
owner: platform on-call
escalation: the team that owns the app
severity: high
deadline: 5m         # for the whole run
# ping: env:HEALTHCHECK_URL   # a dead-man switch: /start, then plain or /fail

inputs:              # difyops runbook run {name} --set app=support-bot
  app:
    type: text       # text, number, whole number, yes/no, duration, list, reference
    default: all
    help: Which apps (selector).

steps:               # side by side, except where needs, when or a value keeps them apart
  - id: health
    title: Which part of the instance is down
    check: instance.health
    timeout: 60s
    retries: 1       # repeats what was inconclusive, never what failed
    every: 5s

  - id: wiring
    title: Everything that the apps refer to exists
    check: app.wiring
    with:
      apps: "${{inputs.app}}"
    needs: [health]  # runs only when health passed

  - id: failures
    title: Few runs fail
    check: runs.failure_rate
    with:
      apps: "${{inputs.app}}"
      window: 1h
      max_percent: 5
      min_runs: 20   # fewer runs are inconclusive, not fine
    needs: [health]
    # for: 2 of 3        # measure up to three times; two failures count
    # across_runs: 2     # or: only when the run before saw it too

  - id: keep
    title: Keep what there is before anybody changes it
    action: snapshot.create
    when: steps.failures.status == "fail"

next:                # what a person does with the result
  - Split the failures by version. Did they begin with a release? Then roll that app back.
  - Write down what was done; the report has the timeline.
"""


def text_of(name: str, path: Path) -> str:
    """Return the skeleton for a name.

    Raises:
        UsageError: the name has other characters than small letters, digits and dashes. Refused: ``path`` is there.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}", name):
        raise UsageError(f"{name!r} must be small letters, digits and dashes.", hint="Example: support-bot-latency")
    if path.exists():
        raise Refused(f"{path} is there already.", hint="Choose another name, or edit that file.")
    return _TEXT.format(name=name, path=path, title=name.replace("-", " ").capitalize())


def write(name: str, folder: Path) -> Path:
    """Write the skeleton into ``folder`` and return its path.

    Raises:
        UsageError: not a name. Refused: the file is there already. StoreError: it cannot be written.
    """
    path = folder / f"{name}.yaml"
    content = text_of(name, path)
    atomic_file.write(path, content.encode())
    return path
