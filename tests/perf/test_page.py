"""The page in headless Chromium, narrow and wide: axes, labels, no overlap, no console error, all of it in one file."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from difyops.perf.advise import Advised
from difyops.perf.facts import NodeFact, RunFact
from difyops.perf.nodes import Profile
from difyops.perf.report import PerfReport
from difyops.perf.success import SuccessRate
from difyops.perf.summary import PerfSummary, period
from difyops.perf.tallies import tallies_of
from difyops.perf.timeline import plan, timeline
from difyops.perf.trend import Bucket, Trend, TrendPublication
from difyops.render.perf_html import page
from difyops.statistics import Quantile

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START = datetime(2026, 11, 1, tzinfo=UTC)
EVIL = '<script>alert(1)</script>\x1b[2J\u202eevil & "quoted" a name that is long, very long indeed'
LOOK = """
const found = {};
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, boxes = [];
  const shown = [...page.querySelectorAll("svg")].filter(svg => svg.getBoundingClientRect().width > 0);
  let overlaps = [], outside = [];
  for (const svg of shown) {
    const frameBox = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([a, p], i) => {
      if (p.left < frameBox.left - 1 || p.right > frameBox.right + 1 || p.bottom > frameBox.bottom + 1) outside.push(a);
      texts.slice(i + 1).forEach(([b, q]) => {
        if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1)
          overlaps.push(a + " / " + b);
      });
    });
  }
  found[frame.id] = {
    charts: shown.length, overlaps, outside, scrolls: page.documentElement.scrollWidth > frame.clientWidth,
    texts: shown.map(s => [...s.querySelectorAll("text")].map(t => t.textContent)),
    scripts: page.querySelectorAll("script").length, size: page.body.clientWidth,
  };
}
document.body.innerHTML = "<pre>" + JSON.stringify(found).replace(/</g, "&lt;") + "</pre>";
"""


def a_report() -> PerfReport:
    runs = [RunFact(f"r{n}", "app-run", "succeeded", START.timestamp() + n * 3600, 2.0 + n % 7, "v", 10, 0, "", "u")
            for n in range(200)]  # fmt: skip
    known = period(tallies_of(runs), START.timestamp(), START.timestamp() + 200 * 3600)
    nothing = Quantile(share=0.5, n=0)
    summary = PerfSummary(
        app="a", name=EVIL, period=known, before=replace(known, runs=0), sources={"app-run": known}, read=30,
        unattributed=nothing, cost=None, currency="", priced=False, repeats=SuccessRate.of(0, 0), waiting=1,
    )  # fmt: skip
    buckets = tuple(
        Bucket(at=START + timedelta(hours=6 * n), n=9, failed=n % 2, p50=2 + n % 3, p95=5 + n % 4 if n % 5 else None)
        for n in range(40)
    )
    versions = tuple(
        TrendPublication(version=f"2026-11-0{day} 10:00:00", at=START + timedelta(days=day), first_run=START)
        for day in (1, 2, 2, 9)
    )
    trend = Trend(app="a", name=EVIL, seconds=21600.0, buckets=buckets, changes=(), versions=versions)
    rows = [_row(n, EVIL if n == 2 else f"Node {n}") for n in range(8)]
    line = timeline(plan(RunFact("r", "app-run", "succeeded", 0.0, 4.0, "v", 0, 0, "", ""), rows, None))
    profile = Profile(
        app="a", name=EVIL, read=1, lines=1, nodes=(), unattributed_share=0.1, unattributed_interval=None, average=2.0
    )
    advised = Advised(app="a", name=EVIL, runs=200, read=30, advice=(), dismissed=(), not_enough=())
    return PerfReport(
        context="emu", made=START, summary=summary, trend=trend, profile=profile, advised=advised, example=line
    )


def _row(number: int, title: str) -> NodeFact:
    name = f"n{number}"
    return NodeFact(
        "r", name, number + 1, name, "llm", title, "succeeded", 0.0, None, 0.4, "", 0, "", None, 0, "", "", None, None,
        "", "", None, "", "", "", 0, 0, "",
    )  # fmt: skip


def test_the_page_stands_alone_and_remote_text_is_harmless() -> None:
    shown = page(a_report())
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:|#)", shown) == []
    assert "url(" not in shown.replace("url(#hatch", "")
    for wanted in ("prefers-color-scheme:dark", "@media print", "stroke-dasharray", "default-src 'none'"):
        assert wanted in shown


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_in_a_browser_narrow_and_wide(tmp_path: Path) -> None:
    shown = page(a_report())
    frames = "".join(
        f'<iframe id="w{width}" width="{width}" height="900" style="border:0" srcdoc="{html.escape(shown)}"></iframe>'
        for width in (400, 1400)
    )
    place = tmp_path / "look.html"
    script = f"<script>window.onload = () => {{ {LOOK} }}</script>"
    place.write_text(f"<!doctype html><html><body>{frames}{script}</body></html>", encoding="utf-8")
    (tmp_path / "plain.html").write_text(shown, encoding="utf-8")
    found, said = browse(place, tmp_path)
    assert set(found) == {"w400", "w1400"}
    for width in ("w400", "w1400"):
        look = found[width]
        assert look["overlaps"] == [], width
        assert look["outside"] == [], width
        assert look["charts"] == 2
        assert not look["scrolls"], f"{width}: the page is wider than the window"
        series, waterfall = look["texts"]
        assert {"run time", "time (UTC)", "p50", "p95"} <= set(series)
        assert any(text.startswith("published") for text in series)
        assert any("ms" in text or " s" in text for text in waterfall)
    assert "CONSOLE" not in said, said


def browse(place: Path, home: Path) -> tuple[dict, str]:
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-extensions", "--disable-background-networking", f"--user-data-dir={home / 'profile'}",
            "--enable-logging=stderr", "--virtual-time-budget=4000", "--window-size=1500,2000", "--dump-dom",
            place.as_uri(),
        ],
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    shown = re.search(r"<pre>(.*?)</pre>", done.stdout, re.S)
    assert shown is not None, done.stderr[-2000:]
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(html.unescape(shown[1])), console
