"""Cost: what a part of the node reads tells of the whole, bands of forecasts, a million node rows added up.

``data/azure-llm-2023.csv.gz``: prompt and answer tokens of the 28,185 requests in AzureLLMInferenceTrace_code and _conv
(Azure/AzurePublicDataset, CC-BY 4.0), code first. One request is one run.
"""

from __future__ import annotations

import gzip
import random
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from difyops.cost.estimates import CostMeasure, Estimator, Stratum
from difyops.cost.forecast import ahead
from difyops.cost.leaves import FILE, Leaves
from difyops.cost.plugin_prices import shipped
from difyops.cost.price_check import check, today
from difyops.cost.prices import load_prices
from difyops.cost.runs import PricedQuestion
from difyops.cost.summary import summarise
from difyops.history.apps import KeptApp
from difyops.history.store import History
from difyops.history.tables import NODE
from tests.bench.table import Figure

TRACE = Path(__file__).with_name("data") / "azure-llm-2023.csv.gz"
CONTEXT, FIRST = "bench", 1_700_006_400.0
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"))


def main() -> list[Figure]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as place:
        return [*azure(), *bands(), *plugins(), *million(Path(place))]


def azure(share: float = 0.05, draws: int = 400) -> list[Figure]:
    """Draw runs of the trace by chance, two models, and estimate what all of them cost."""
    lines = gzip.decompress(TRACE.read_bytes()).decode().split("\n")
    prices, day = load_prices(), today(FIRST)
    rates = {kind: prices.rate(*model, day) for kind, model in zip(("co", "cv"), MODELS, strict=True)}
    runs = []
    for number, line in enumerate(lines, 1):
        kind, prompt, answer = line.split(",")
        rate = rates["co" if kind == "co" and number % 2 else "cv"]
        assert rate is not None
        cost = rate.amount(int(prompt), int(answer))
        assert cost is not None
        runs.append((number, int(prompt) + int(answer), float(cost)))
    return [*_drawn("two models mixed", runs, share, draws), *_drawn("one model", _one(lines), share, draws)]


def _one(lines: list[str]) -> list[tuple[int, int, float]]:
    rate = load_prices().rate(*MODELS[0], today(FIRST))
    assert rate is not None
    found = []
    for number, line in enumerate(lines, 1):
        _, prompt, answer = line.split(",")
        found.append((number, int(prompt) + int(answer), float(rate.amount(int(prompt), int(answer)) or 0)))
    return found


def _drawn(name: str, runs: list[tuple[int, int, float]], share: float, draws: int) -> list[Figure]:
    rng, truth = random.Random(12), sum(cost for _, _, cost in runs)
    errors, covered = [], 0
    for _ in range(draws):
        stratum = Stratum(count=len(runs), size=sum(size for _, size, _ in runs))
        measure = CostMeasure()
        for number, size, cost in runs:
            if rng.random() < share:
                stratum.drawn[number] = (float(size), share)
                measure.values[number] = cost
        found = Estimator().total([(stratum, measure)])
        assert found.low is not None
        assert found.high is not None
        errors.append(abs(float(found.total) / truth - 1))
        covered += float(found.low) <= truth <= float(found.high)
    worst = sorted(errors)[int(0.95 * draws)]
    limit = 2.5 if name == "one model" else None
    return [
        Figure(f"cost: Azure trace, {name}: total from 5 % of the node reads, error at 95 %, %", 100 * worst, limit,
               f"{draws} draws of {len(runs)} runs"),
        Figure(f"cost: Azure trace, {name}: intervals that hold the truth, %", 100 * covered / draws, 93, least=True),
    ]  # fmt: skip


def bands(series: int = 200) -> list[Figure]:
    """Forecast seeded series of days: weekdays, growth, noise that grows with the level."""
    rng, hits, count = random.Random(5), 0, 0
    for _ in range(series):
        weekend, growth, noise = rng.uniform(0.1, 1), rng.uniform(-0.002, 0.004), rng.uniform(0.03, 0.25)
        level = rng.lognormvariate(3, 1)
        values = [
            level * (weekend if day % 7 > 4 else 1) * (1 + growth * day) * max(0.0, 1 + rng.gauss(0, noise))
            for day in range(98)
        ]
        for point, truth in zip(ahead(values[:84], 14, floor=0.0), values[84:], strict=True):
            count += 1
            hits += point.bands[-1].low <= truth <= point.bands[-1].high
    share = 100 * hits / count
    return [
        Figure("cost: days inside the 95 % band, %", share, 93, "seeded series, 84 days to 14 ahead", least=True),
        Figure("cost: and not by bands that are too wide, %", share, 97),
    ]


def plugins() -> list[Figure]:
    found = check(shipped(), load_prices(), day=today(time.time()))
    silent = [item for item in found.models
              if item.status != "unpriced" and item.dify_input is None and item.list_input is None]  # fmt: skip
    note = ", ".join(f"{count} {name}" for name, count in sorted(found.counts.items()))
    return [Figure(f"cost: silent zeros among {len(found.models)} models of Dify's plugins", len(silent), 0, note)]


def million(state: Path, count: int = 1_000_000) -> list[Figure]:
    """Add up so many node rows: eight model calls a run, four apps, forty nodes, thirty days."""
    rng, prices = random.Random(1), load_prices()
    names = [f"{rng.getrandbits(128):032x}" for _ in range(count // 8)]
    column = ", ".join("?" * len(NODE))
    with History.open(state) as history, history.changing() as connection:
        connection.executemany(
            "INSERT INTO run (context, app, id, source, status, started, logged, elapsed, version, tokens, steps,"
            " exceptions, error_kind, user) VALUES (?, ?, ?, 'app-run', 'succeeded', ?, ?, 3, 'v', 900, 8, 0, '', 'u')",
            [(CONTEXT, f"a{n % 4}", name, FIRST + n * 20, FIRST + n * 20) for n, name in enumerate(names)],
        )
        connection.executemany(
            "INSERT INTO sample VALUES (?, ?, ?, 'all', 1.0, 0)",
            [(CONTEXT, f"a{n % 4}", name) for n, name in enumerate(names)],
        )
        connection.executemany(
            f"INSERT INTO node VALUES ({column})", (_row(n, names[n // 8], rng) for n in range(count))
        )
    apps = tuple(KeptApp(id=f"a{n}", name=f"app {n}", mode="workflow") for n in range(4))
    question = PricedQuestion(context=CONTEXT, apps=apps, since=FIRST + 1000, until=FIRST + 86400 * 60)
    times = []
    with History.open(state) as history:
        for _ in range(4):
            began = time.process_time()
            with Leaves(history, prices) as leaves:
                found = summarise(history, leaves, question, prices, by="model")
            times.append(time.process_time() - began)
    size = (state / FILE).stat().st_size / 2**20
    return [
        Figure(f"cost: {count:,} node rows added up by model, s of processor time", min(times[1:]), 0.5,
               f"{found.total.calls:,} calls, {found.total.listed[0].amount:.2f} {found.total.listed[0].currency}"),
        Figure("cost: the first time, when leaves are made, s", times[0], None, f"once; {size:.0f} MiB"),
    ]  # fmt: skip


def _row(number: int, run: str, rng: random.Random) -> tuple[object, ...]:
    tokens, at = rng.randint(50, 2000), FIRST + number // 8 * 20
    provider, model = MODELS[number * 7 % 2]
    known = {
        "context": CONTEXT, "app": f"a{number // 8 % 4}", "run": run, "id": f"n{number}", "idx": number % 8,
        "node": f"17000000000{number % 8}{number // 8 % 5}", "type": "llm", "title": f"Model {number % 8}",
        "status": "succeeded", "started": at, "finished": at + 1, "elapsed": 1.0, "attempt": 0, "tokens": tokens,
        "price": str(Decimal(tokens).scaleb(-6)), "currency": "USD", "prompt_tokens": tokens // 2,
        "completion_tokens": tokens - tokens // 2, "provider": provider, "model": model,
    }  # fmt: skip
    return tuple(known.get(name, "") for name in NODE)
