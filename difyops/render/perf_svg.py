"""The pictures of the report: percentiles over time and a waterfall, as SVG. Nothing is told by colour alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape

from difyops.perf.timeline import Timeline
from difyops.perf.trend import Bucket, Trend, TrendPublication
from difyops.render.perf_figures import seconds
from difyops.render.safe import one_line

_LETTER = 6.4  # pixels a letter at 11 px, on the wide side
_ROW = 22
Place = Callable[[float], float]


def text(value: object, most: int = 60) -> str:
    """Return remote text for a page: harmless, on one line, not too long, escaped."""
    shown = one_line(value)
    return escape(shown if len(shown) <= most else shown[: most - 1] + "…")


def series(found: Trend, *, width: int) -> str:
    """Return p50 and p95 over time with versions marked: a line with dots, a dashed line with squares."""
    shown = [bucket for bucket in found.buckets if bucket.p50 is not None]
    if not shown:
        return "<p>Too few runs for a picture.</p>"
    height, left, right, top, bottom = 300, 62, 16, 58, 46
    low, high = shown[0].at.timestamp(), shown[-1].at.timestamp() + found.seconds
    largest = max(max(bucket.p50 or 0.0, bucket.p95 or 0.0) for bucket in shown)
    ticks = _ticks(largest)

    def x(at: float) -> float:
        return left + (at - low) / ((high - low) or 1) * (width - left - right)

    def y(value: float) -> float:
        return height - bottom - value / ticks[-1] * (height - top - bottom)

    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="p50 and p95 of run times of {text(found.name)}">'
    ]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        label = seconds(tick) if tick else "0"
        parts.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{label}</text>')
    parts += _days(shown[0].at, low, high, x, height - bottom, width)
    parts += _versions(found.versions, low, high, x, top, height - bottom, width - right)
    parts += _line(shown, "p50", found.seconds, x, y)
    parts += _line(shown, "p95", found.seconds, x, y)
    parts.append(f'<text class="axis" x="{left}" y="14">run time</text>')
    parts.append(f'<text class="axis" x="{width - right}" y="{height - 6}" text-anchor="end">time (UTC)</text>')
    parts += [
        f'<path class="p50" d="M{width - 190},10h24"/><text x="{width - 162}" y="14">p50</text>',
        f'<path class="p95" d="M{width - 100},10h24"/><text x="{width - 72}" y="14">p95</text>',
        "</svg>",
    ]
    return "".join(parts)


def _ticks(largest: float) -> list[float]:
    raw = max(largest, 1e-6) / 4
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    return [step * number for number in range(math.ceil(largest / step - 1e-9) + 1)]


def _days(first: datetime, low: float, high: float, x: Place, base: float, width: int) -> list[str]:
    """Return labels along the time axis: as many as there is room for."""
    day = "%m-%d" if high - low > 2 * 86400 else "%m-%d %H:%M"
    room = max(1, int((width - 78) / (11 * _LETTER)))
    parts = [f'<line class="frame" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{base}" y2="{base}"/>']
    count = min(room, 8)
    for number in range(count):
        at = low + (high - low) * (number + 0.5) / count
        shown = datetime.fromtimestamp(at, first.tzinfo).strftime(day)
        parts.append(f'<line class="frame" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(f'<text x="{x(at):.1f}" y="{base + 18}" text-anchor="middle">{shown}</text>')
    return parts


def _versions(
    found: Sequence[TrendPublication], low: float, high: float, x: Place, top: float, base: float, right: float
) -> list[str]:
    """Return a line for each version published in the picture, its label where none is in the way."""
    parts: list[str] = []
    free = -1.0
    for item in found:
        at = item.at.timestamp()
        if not low <= at <= high:
            continue
        place = x(at)
        parts.append(f'<line class="mark" x1="{place:.1f}" x2="{place:.1f}" y1="{top - 12}" y2="{base}"/>')
        label = f"published {item.version[5:16]}"
        length = len(label) * _LETTER
        start = min(place, right - length)
        if start > free:
            parts.append(f'<text x="{start:.1f}" y="{top - 18}">{text(label)}</text>')
            free = start + length + 8
    return parts


def _line(shown: Sequence[Bucket], name: str, length: float, x: Place, y: Place) -> list[str]:
    points = [(x(b.at.timestamp() + length / 2), y(v)) for b in shown if (v := getattr(b, name)) is not None]
    if not points:
        return []
    path = "M" + "L".join(f"{px:.1f},{py:.1f}" for px, py in points)
    if name == "p50":
        marks = [f'<circle class="{name}" cx="{px:.1f}" cy="{py:.1f}" r="2"/>' for px, py in points]
    else:
        marks = [f'<rect class="{name}" x="{px - 2:.1f}" y="{py - 2:.1f}" width="4" height="4"/>' for px, py in points]
    return [f'<path class="{name}" d="{path}"/>', *marks]


def waterfall(line: Timeline, *, width: int) -> str:
    """Return the bars of a run: solid and framed when critical, hatched when not; names left, times right."""
    bars = sorted(line.bars, key=lambda bar: (bar.start, bar.end))[:60]
    left, right, top = min(180, width // 3), 70, 8
    height = top + _ROW * len(bars) + 34
    room = width - left - right
    total = line.total or 1.0
    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        f' aria-label="Waterfall of run {text(line.run)}"><defs><pattern id="hatch{width}" width="5" height="5"'
        ' patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" y2="5"/></pattern></defs>'
    ]
    for number, bar in enumerate(bars):
        y = top + number * _ROW
        start, length = left + room * bar.start / total, max(1.0, room * bar.length / total)
        name = ("· " if bar.container else "") + (bar.title or bar.node)
        kind = "critical" if bar.critical else "beside"
        fill = "" if bar.critical else f' style="fill:url(#hatch{width})"'
        parts.append(
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{text(name, int(left / _LETTER) - 3)}</text>'
        )
        parts.append(
            f'<rect class="{kind}" x="{start:.1f}" y="{y + 3}" width="{length:.1f}" height="{_ROW - 8}"{fill}>'
            f"<title>{text(name)}: {seconds(bar.length)}{', critical path' if bar.critical else ''}</title></rect>"
        )
        parts.append(f'<text x="{width - right + 8}" y="{y + 14}">{seconds(bar.length)}</text>')
    base = top + _ROW * len(bars) + 4
    parts.append(f'<line class="frame" x1="{left}" x2="{width - right}" y1="{base}" y2="{base}"/>')
    ticks = [tick for tick in _ticks(total) if tick <= total * 1.001]
    ticks = ticks[:: 2 if room / max(1, len(ticks)) < 8 * _LETTER else 1]
    for tick in ticks:
        place = left + room * tick / total
        parts.append(f'<line class="frame" x1="{place:.1f}" x2="{place:.1f}" y1="{base}" y2="{base + 4}"/>')
        shown = seconds(tick) if tick else "0"
        parts.append(f'<text x="{place:.1f}" y="{base + 18}" text-anchor="middle">{shown}</text>')
    return "".join(parts) + "</svg>"
