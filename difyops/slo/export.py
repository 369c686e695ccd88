"""Goals as rules for other programs: a specification for Sloth, and Prometheus rules as Sloth writes them.

They read what ``difyops slo status --as prometheus=FILE`` writes for node_exporter: growing counts of events by goal.
Records, names and expressions are Sloth's, so dashboards made for it fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from difyops.dsl.load import dump_yaml
from difyops.slo.goals_file import Goal
from difyops.slo.windows import Pair, pairs, span

JsonObject = dict[str, Any]
_COUNT = 'sum(rate(difyops_slo_case_value{{context="{context}",case="{goal}",name="{name}"}}[{window}]))'
_SPEC = "prometheus/v1"


def queries(context: str, goal: Goal) -> tuple[str, str]:
    """Return the queries of bad and of all events, with ``{{.window}}`` where Sloth puts the window."""
    context = context.replace("\\", "\\\\").replace('"', '\\"')
    bad, total = (
        _COUNT.format(context=context, goal=goal.name, name=name, window="{{.window}}")
        for name in ("bad_total", "events_total")
    )
    return bad, total


def sloth(context: str, goals: Sequence[Goal]) -> str:
    """Return a Sloth specification. A goal of 7 days needs Sloth's window file of that period."""
    rows = []
    for goal in goals:
        bad, total = queries(context, goal)
        rows.append(
            {
                "name": goal.name,
                "objective": goal.percent,
                "description": f"{goal.kind} of {', '.join(goal.apps)}",
                "labels": _labels(goal),
                "sli": {"events": {"error_query": bad, "total_query": total}},
                "alerting": {
                    "name": alert_name(goal),
                    "page_alert": {"labels": {"severity": "page"}},
                    "ticket_alert": {"labels": {"severity": "ticket"}},
                },
            }
        )
    return dump_yaml({"version": _SPEC, "service": service(context), "slos": rows})


def prometheus(context: str, goals: Sequence[Goal]) -> str:
    """Return recording rules and alerts, as Sloth generates them from the specification above."""
    groups = [group for goal in goals for group in rule_groups(service(context), goal, *queries(context, goal))]
    return dump_yaml({"groups": groups})


def rule_groups(service_name: str, goal: Goal, bad: str, total: str) -> list[JsonObject]:
    """Return the three groups of one goal: the ratio in each window, what is known of it, its alerts."""
    identity = f"{service_name}-{goal.name}"
    labels = {"sloth_id": identity, "sloth_service": service_name, "sloth_slo": goal.name, **_labels(goal)}
    names = (("sli-recordings", _ratios), ("meta-recordings", _meta), ("alerts", _alerts))
    made: list[JsonObject] = []
    for name, rules in names:
        listed = rules(goal, labels, bad, total)
        made.append({"name": f"sloth-slo-{name}-{identity}", "rules": listed})
    return made


def service(context: str) -> str:
    """Return a context's name as Sloth takes names of services."""
    kept = "".join(character if character.isalnum() and character.isascii() else "-" for character in context)
    return f"dify-{kept.strip('-') or 'instance'}"


def alert_name(goal: Goal) -> str:
    """Return ``DifySupportAnswersBurning``."""
    return "Dify" + "".join(part.title() for part in goal.name.split("-")) + "Burning"


def _labels(goal: Goal) -> dict[str, str]:
    return {"owner": goal.owner} if goal.owner else {}


def _ratios(goal: Goal, labels: dict[str, str], bad: str, total: str) -> list[JsonObject]:
    windows = sorted({window for pair in pairs(goal.days) for window in (pair.long, pair.short)})
    rows: list[JsonObject] = []
    for hours in windows:
        window = span(hours)
        one, other = (query.replace("{{.window}}", window) for query in (bad, total))
        rows.append(
            {
                "record": f"slo:sli_error:ratio_rate{window}",
                "expr": f"({one})\n/\n({other})\n",
                "labels": {**labels, "sloth_window": window},
            }
        )
    whole, where = span(goal.days * 24), _where(labels)
    shortest = f"slo:sli_error:ratio_rate5m{where}[{whole}]"
    rows.append(
        {
            "record": f"slo:sli_error:ratio_rate{whole}",
            "expr": f"sum_over_time({shortest})\n/ ignoring (sloth_window)\ncount_over_time({shortest})\n",
            "labels": {**labels, "sloth_window": whole},
        }
    )
    return rows


def _meta(goal: Goal, labels: dict[str, str], bad: str, total: str) -> list[JsonObject]:
    where, whole = _where(labels), span(goal.days * 24)
    objective = repr(goal.percent / 100)
    budget = f"/ on(sloth_id, sloth_slo, sloth_service) group_left\nslo:error_budget:ratio{where}\n"
    told = [
        ("slo:objective:ratio", f"vector({objective})"),
        ("slo:error_budget:ratio", f"vector(1-{objective})"),
        ("slo:time_period:days", f"vector({goal.days})"),
        ("slo:current_burn_rate:ratio", f"slo:sli_error:ratio_rate5m{where}\n{budget}"),
        ("slo:period_burn_rate:ratio", f"slo:sli_error:ratio_rate{whole}{where}\n{budget}"),
        ("slo:period_error_budget_remaining:ratio", f"1 - slo:period_burn_rate:ratio{where}"),
    ]
    return [{"record": name, "expr": text, "labels": dict(labels)} for name, text in told]


def _alerts(goal: Goal, labels: dict[str, str], bad: str, total: str) -> list[JsonObject]:
    rows: list[JsonObject] = []
    for severity in ("page", "ticket"):
        both = [pair for pair in pairs(goal.days) if pair.severity == severity]
        rows.append(
            {
                "alert": alert_name(goal),
                "expr": "or\n".join(_both_above(pair, goal, _where(labels)) for pair in both),
                "labels": {"severity": severity, "sloth_severity": severity, **_labels(goal)},
                "annotations": {
                    "summary": "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn rate is over"
                    " expected.",
                    "title": f"({severity}) {{{{$labels.sloth_service}}}} {{{{$labels.sloth_slo}}}} SLO error budget"
                    " burn rate is too fast.",
                },
            }
        )
    return rows


def _both_above(pair: Pair, goal: Goal, where: str) -> str:
    limit = f"({_plain(pair.factor)} * {_plain(goal.budget)})"
    short, long = (
        f"    max(slo:sli_error:ratio_rate{span(hours)}{where} > {limit}) without (sloth_window)\n"
        for hours in (pair.short, pair.long)
    )
    return f"(\n{short}    and\n{long})\n"


def _plain(number: float) -> str:
    """Return a number as Go prints it: ``6``, not ``6.0``."""
    return repr(number).removesuffix(".0")


def _where(labels: dict[str, str]) -> str:
    names = ("sloth_id", "sloth_service", "sloth_slo")
    return "{" + ", ".join(f'{name}="{labels[name]}"' for name in names) + "}"
