"""The list: dated, whole, equal to what providers publish; the user's own before it; Dify's plugins against it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from difyops.cost import own_prices, plugin_prices
from difyops.cost.own_prices import OwnPrice
from difyops.cost.price_check import STATUSES, check
from difyops.cost.prices import EPOCH, NAMES, Prices, load_prices
from difyops.errors import ConfigError


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal() - EPOCH


def million(prices: Prices, provider: str, model: str, on: str = "2026-11-01", prompt: int = 0, at: int = 0):
    rate = prices.rate(provider, model, day(on), prices.slot(provider, model, prompt, at))
    return rate and (float(rate.input * 1_000_000), float((rate.output or 0) * 1_000_000))


@pytest.mark.parametrize(
    ("provider", "model", "wanted"),
    [
        ("langgenius/openai/openai", "gpt-4o-mini", (0.15, 0.6)),
        ("openai", "GPT-4o-2024-05-13", (5, 15)),
        ("langgenius/anthropic/anthropic", "claude-3-5-sonnet-20241022", (3, 15)),
        ("azure_openai", "gpt-4o", (2.5, 10)),
        ("vertex_ai", "claude-haiku-4-5@20251001", (1, 5)),
        ("openai_api_compatible", "gpt-4o", None),  # anybody's endpoint
        ("ollama", "llama3", None),
        ("openai", "", None),
        ("openai", "no-such-model", None),
    ],
)
def test_what_the_list_says(prices: Prices, provider: str, model: str, wanted: object) -> None:
    assert million(prices, provider, model) == wanted


def test_by_size_by_hour_and_by_day(prices: Prices) -> None:
    assert million(prices, "gemini", "gemini-2.5-pro", prompt=200_000) == (1.25, 10)
    assert million(prices, "gemini", "gemini-2.5-pro", prompt=200_001) == (2.5, 15)
    by_hour = {million(prices, "deepseek", "deepseek-chat", on="2025-03-01", at=at) for at in range(48)}
    assert len(by_hour) == 2
    dated = [entry for entry in prices.rows() if any(step.since for step in entry.steps)]
    assert dated
    for entry in dated:
        last = max(step.since or 0 for step in entry.steps)
        assert entry.step(last) is not entry.step(last - 1)


def test_every_row_has_a_source_and_a_date(prices: Prices) -> None:
    rows = list(prices.rows())
    assert len(rows) > 1000
    assert all(row.source.startswith("https://") and date.fromisoformat(row.date) for row in rows)
    assert {*NAMES.values()} <= {*prices.table["providers"]}


def test_own_prices_hold_from_their_day_and_names_go_before_globs(tmp_path: Path) -> None:
    file = tmp_path / own_prices.FILE
    given = [
        OwnPrice(provider="openai", model=model, input=Decimal(price), output=Decimal(1), currency="USD", since=since)
        for model, price, since in (
            ("gpt-*", "1", ""), ("gpt-4o", "2", "2026-01-01"), ("gpt-4o", "3", "2026-06-01"),
        )
    ]  # fmt: skip
    own_prices.write_own(file, given)
    prices = load_prices(file)
    for on, wanted in (("2025-12-31", 1), ("2026-01-01", 2), ("2026-05-31", 2), ("2026-06-01", 3)):
        assert million(prices, "x/y/openai", "gpt-4o", on) == (wanted, 1)
    assert million(prices, "openai", "gpt-3.5-turbo") == (1, 1)
    assert million(prices, "anthropic", "claude-3-5-sonnet-20241022") == (3, 15)


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"prices": 3}', '{"prices": [{"provider": "x"}]}',
        '{"prices": [{"provider": "x", "model": "y", "input": "free", "output": 1}]}',
        '{"prices": [{"provider": "x", "model": "y", "input": 1, "output": 1, "per": 0}]}',
        '{"prices": [{"provider": "x", "model": "y", "input": 1, "output": 1, "since": "soon"}]}',
    ],
)  # fmt: skip
def test_a_broken_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"prices\.json"):
        load_prices(file)


def test_no_model_of_difys_plugins_is_a_silent_zero(prices: Prices) -> None:
    plugins = plugin_prices.shipped()
    found = check(plugins, prices, day=day("2026-11-26"))
    assert len(found.models) == len(plugins) == sum(found.counts.values())
    assert {item.status for item in found.models} <= {*STATUSES}
    for item in found.models:
        told = item.dify_input is not None or item.list_input is not None
        assert told or item.status == "unpriced", item
    assert found.counts["agrees"] == 251
    assert found.counts["differs"] == 81


def test_a_folder_of_plugins_is_read_as_it_is(tmp_path: Path, prices: Prices) -> None:
    place = tmp_path / "models" / "openai" / "models" / "llm"
    place.mkdir(parents=True)
    (place / "a.yaml").write_text(
        "model: gpt-4o\nmodel_type: llm\npricing: {input: '0.0025', output: '0.01', unit: '0.001', currency: USD}\n"
    )
    (place / "b.yaml").write_text("model: gpt-4o-mini\nmodel_type: llm\n")
    (place / "c.yaml").write_text("model: twice\nmodel: twice\nmodel_type: llm\n")
    (place / "d.yaml").write_text("model: e\nmodel_type: text-embedding\n")
    (place / "_position.yaml").write_text("- gpt-4o\n")
    for folder in (tmp_path, tmp_path / "models" / "openai"):
        found = check(plugin_prices.read_folder(folder), prices, day=day("2026-11-26"))
        assert {item.model: item.status for item in found.models} == {
            "gpt-4o": "agrees", "gpt-4o-mini": "not priced by Dify", "c": "unpriced",
        }  # fmt: skip


def test_a_free_model_and_another_currency(prices: Prices) -> None:
    free = OwnPrice(provider="ollama", model="*", input=Decimal(0), output=Decimal(0), currency="USD")
    own = replace(prices, own=(free,))
    rows = [
        plugin_prices.PluginPrice(provider=provider, model=model, input=price, output=price, unit=unit, currency=money)
        for provider, model, price, unit, money in (
            ("ollama", "x", "0", "0.001", "USD"), ("openai", "gpt-4o", "1", "0", "USD"),
            ("openai", "gpt-4o", "1", "1e-6", "RMB"),
        )
    ]  # fmt: skip
    found = check(rows, own, day=day("2026-11-26"))
    assert Counter(item.status for item in found.models) == {
        "agrees": 1, "not priced by Dify": 1, "other currency": 1,
    }  # fmt: skip
