"""The report as one self-contained page: nothing from elsewhere, no script, light and dark, fit for paper.

Each picture is drawn twice, for a narrow and a wide window, and a style rule shows the one that fits: text keeps its
size, and nothing runs into anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from difyops.clock import iso
from difyops.counting import counted
from difyops.outcome import Block, Facts, Table
from difyops.perf.advise import Advice
from difyops.perf.report import PerfReport
from difyops.render import perf as views
from difyops.render.perf_figures import seconds
from difyops.render.perf_nodes import nodes_table
from difyops.render.perf_svg import series, text, waterfall
from difyops.render.safe import cell

_NARROW, _WIDE = 360, 960
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--line:#d0d7de;--a:#0969da;--b:#bc4c00}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b1;--paper:#0d1117;--line:#3d444d;--a:#58a6ff;
--b:#f0883e}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:1000px;font:15px/1.5 system-ui,sans-serif;color:var(--ink);
background:var(--paper)}
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.1rem;margin:1.6rem 0 .5rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1rem 0 .2rem}p,li{overflow-wrap:anywhere}.soft{color:var(--soft)}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
th,td{padding:.25rem .6rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0;
overflow-wrap:anywhere}
.word{border:1px solid var(--ink);border-radius:3px;padding:0 .35rem;font-size:12px}
svg{display:block;max-width:100%;font:11px system-ui,sans-serif}svg text{fill:var(--ink)}svg .axis{fill:var(--soft)}
.grid{stroke:var(--line)}.frame{stroke:var(--soft)}.mark{stroke:var(--ink);stroke-dasharray:2 3}
path.p50,path.p95{fill:none;stroke-width:1.8}path.p50,circle.p50{stroke:var(--a)}circle.p50{fill:var(--a)}
path.p95,rect.p95{stroke:var(--b)}path.p95{stroke-dasharray:6 4}rect.p95{fill:var(--b)}
rect.critical{fill:var(--b);stroke:var(--ink)}rect.beside{stroke:var(--soft)}.hatch{stroke:var(--soft)}
.narrow{display:none}@media (max-width:1010px){.wide{display:none}.narrow{display:block}}
@media print{:root{--ink:#000;--soft:#333;--paper:#fff;--line:#999;--a:#000;--b:#555}body{max-width:none}
.scroll{overflow:visible}h2,h3{break-after:avoid}svg,tr,.advice{break-inside:avoid}}
"""


def page(result: PerfReport, cost: Sequence[Block] = ()) -> str:
    """Return the page; ``cost`` is a table and what it stands on."""
    found = result.summary
    facts, sources = views.summary_blocks(found)
    body = [
        f"<h1>{text(found.name)}</h1>",
        f'<p class="soft">{text(result.context)}, {iso(found.period.since)} to {iso(found.period.until)}; made'
        f" {iso(result.made)} by difyops from {counted(found.period.runs, 'run')}, {found.read} of them with"
        " their nodes.</p>",
        "<h2>Summary</h2>", _facts(facts), _table(sources),
        "<h2>Run times</h2>", *_twice(lambda width: series(result.trend, width=width)),
        *(f"<p>{text(views.change_text(change), 400)}</p>" for change in result.trend.changes),
    ]  # fmt: skip
    if result.example is not None:
        example = result.example
        body += [
            "<h2>A slow run</h2>",
            f'<p class="soft">{text(example.run)}, near the 95th percentile of those with nodes. Solid: critical path;'
            f" hatched: beside it. {seconds(example.unattributed)} belong to no node.</p>",
            *_twice(lambda width: waterfall(example, width=width)),
        ]
    if result.budgets:
        body += ["<h2>Error budgets</h2>", _table(views.budgets_table(result.budgets))]
    body += ["<h2>Nodes</h2>", _table(nodes_table(result.profile.nodes))]
    if cost:
        body += ["<h2>Cost</h2>", *(_table(block) if isinstance(block, Table) else _facts(block) for block in cost)]
    body += ["<h2>Advice</h2>", *_advice(result.advised.advice)]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(found.name)}: performance</title>"
    )
    safe = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang="en"><head>{head}<meta http-equiv="Content-Security-Policy" content="{safe}">'
        f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head><body>{"".join(body)}</body></html>\n'
    )


def _twice(draw: Callable[[int], str]) -> list[str]:
    return [
        f'<div class="wide">{draw(_WIDE)}</div>',
        f'<div class="narrow">{draw(_NARROW)}</div>',
    ]


def _facts(block: Block) -> str:
    assert isinstance(block, Facts)  # noqa: S101
    return "<dl>" + "".join(f"<dt>{text(k)}</dt><dd>{text(cell(v), 200)}</dd>" for k, v in block.pairs) + "</dl>"


def _table(block: Block) -> str:
    assert isinstance(block, Table)  # noqa: S101
    if not block.rows:
        return f"<p>{text(block.empty, 200)}</p>"
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in block.columns)
    rows = ("<tr>" + "".join(f"<td>{text(cell(value), 80)}</td>" for value in row) + "</tr>" for row in block.rows)
    return f'<div class="scroll" tabindex="0"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _advice(found: Sequence[Advice]) -> list[str]:
    if not found:
        return ["<p>None.</p>"]
    return [
        f'<div class="advice"><h3><span class="word">{item.severity}</span> {text(item.title, 200)}</h3>'
        f'<p class="soft">{text(item.id, 120)}, {item.category}, n = {item.n}: {text(views.evidence(item), 400)}'
        f"{text(views.gain(item), 300)}</p><ol>{''.join(f'<li>{text(step, 300)}</li>' for step in item.steps)}</ol>"
        f"<p><code>{text(item.example, 200)}</code></p></div>"
        for item in found
    ]
