"""Write the tables in ``data/`` anew, from public sources: for who maintains difyops, never when it runs.

    pip install genai-prices
    git clone https://github.com/langgenius/dify-official-plugins
    python -m difyops.cost.prices_build --plugins dify-official-plugins

``prices-YYYY-MM.json`` are list prices of the providers that Dify's plugins serve (source and date a row), out of the
package ``genai-prices``. ``plugins-YYYY-MM.json`` is what Dify's own plugins say, out of their YAML files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from difyops.cost.plugin_prices import read_folder
from difyops.cost.prices import DATA, NAMES

_MILLION = 1_000_000
_CLAUSES = ("starts_with", "ends_with", "contains", "regex", "equals")


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description="Write the price tables anew.")
    parser.add_argument("--plugins", type=Path, help="A checkout of dify-official-plugins.")
    parser.add_argument("--plugins-date", help="Of its newest commit, such as 2026-08-21.")
    given = parser.parse_args()
    day = datetime.now(UTC).date().isoformat()
    _write(f"prices-{day[:7]}.json", list_prices(import_module("genai_prices.data").providers, day), "providers")
    if given.plugins:
        date = given.plugins_date or day
        rows = [[*item.row] for item in read_folder(given.plugins)]
        body = {"from": "langgenius/dify-official-plugins", "date": date, "models": rows}
        _write(f"plugins-{date[:7]}.json", body, "models")


def list_prices(providers: Any, day: str) -> dict[str, Any]:
    """Return the table of the providers that a plugin of Dify has."""
    by_id = {provider.id: provider for provider in providers}
    wanted = {name for name in {*NAMES.values(), *_plugins()} if name in by_id}
    wanted |= {other for name in wanted for other in by_id[name].fallback_model_providers or () if other in by_id}
    return {
        "from": f"genai-prices {metadata.version('genai-prices')}",
        "date": day,
        "currency": "USD",
        "per": _MILLION,
        "providers": {name: _provider(by_id[name], day) for name in sorted(wanted)},
    }


def _plugins() -> set[str]:
    newest = max(DATA.glob("plugins-*.json"), default=None)
    return {row[0] for row in json.loads(newest.read_text())["models"]} if newest else set()


def _provider(provider: Any, day: str) -> dict[str, Any]:
    models = [row for model in provider.models if (row := _model(model, day))]
    source = (provider.pricing_urls or [""])[0]
    found = {"source": source, "models": models}
    return found | ({"fallback": provider.fallback_model_providers} if provider.fallback_model_providers else {})


def _model(model: Any, day: str) -> dict[str, Any] | None:
    steps = model.prices if isinstance(model.prices, list) else [None]
    prices = []
    for step in steps:
        of = model.prices if step is None else step.prices
        row = _price(of)
        if row is None:
            continue
        limit: Any = None if step is None else step.constraint
        if hasattr(limit, "start_date"):
            row["from"] = limit.start_date.isoformat()
        elif limit is not None:
            row["hours"] = [_utc(limit.start_time), _utc(limit.end_time)]
        prices.append(row)
    if not prices:
        return None
    return {"id": model.id, "match": _clause(model.match), "date": day, "prices": prices}


def _utc(value: Any) -> str:
    return str(value.strftime("%H:%M"))


def _price(price: Any) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    tiers: dict[int, dict[str, str]] = {}
    for name, key in (("input_mtok", "input"), ("output_mtok", "output"), ("cache_read_mtok", "cached")):
        value = getattr(price, name, None)
        if value is None:
            continue
        base = getattr(value, "base", value)
        found[key] = format(base, "f")
        for tier in getattr(value, "tiers", ()):
            tiers.setdefault(tier.start, {})[key] = format(tier.price, "f")
    if "input" not in found:
        return None  # by the request, the hour or the page: no price of a token
    if tiers:
        found["tiers"] = [{"above": start, **tiers[start]} for start in sorted(tiers)]
    return found


def _clause(clause: Any) -> list[Any]:
    for name in _CLAUSES:
        if (text := getattr(clause, name, None)) is not None:
            return [name, text]
    for name, field in (("or", "or_"), ("and", "and_")):
        if (parts := getattr(clause, field, None)) is not None:
            return [name, *(_clause(part) for part in parts)]
    raise ValueError(f"an unknown clause: {clause}")


def _write(name: str, body: dict[str, Any], key: str) -> None:
    """Write one row a line, so that a change of the table can be read as a diff."""
    head = {field: value for field, value in body.items() if field != key}
    rows = body[key]
    lines = list(_lines(rows)) if isinstance(rows, dict) else [json.dumps(row, ensure_ascii=False) for row in rows]
    opened, closed = ("{", "}") if isinstance(rows, dict) else ("[", "]")
    text = json.dumps(head, ensure_ascii=False)[:-1] + f', "{key}": {opened}\n' + ",\n".join(lines)
    (DATA / name).write_text(text + f"\n{closed}}}\n", encoding="utf-8")
    print(f"{name}: {len(rows)} {key}")  # noqa: T201  a script


def _lines(rows: dict[str, Any]) -> Iterator[str]:
    for name, body in rows.items():
        head = json.dumps({field: value for field, value in body.items() if field != "models"}, ensure_ascii=False)
        models = ",\n".join(json.dumps(row, ensure_ascii=False) for row in body["models"])
        yield f'"{name}": {head[:-1]}, "models": [\n{models}]}}'


if __name__ == "__main__":
    main()
