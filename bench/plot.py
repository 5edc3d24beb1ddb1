"""Draws how metrics grow, as SVG: the x axis is logarithmic and has a tick for each measured size, the y axis begins at 0."""

import html
import math

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 44, 44
COLOURS = "#c2410c", "#0369a1", "#4d7c0f"


def plot(title, unit, lines, show):
    """`lines` maps names to points, each a size and a value. `show` formats a value of the y axis."""
    sizes = sorted({size for points in lines.values() for size, _ in points})
    top = _round_up(max(value for points in lines.values() for _, value in points))

    def x(size):
        share = math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0]) if len(sizes) > 1 else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(12, 18, title, 'font-weight="bold"'),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, unit, 'text-anchor="middle"'),
    ]
    for quarter in range(5):
        level = y(top * quarter / 4)
        parts.append(f'<path d="M{LEFT} {level:.1f}H{WIDTH - RIGHT}" stroke="#e2e8f0"/>')
        parts.append(_text(LEFT - 6, level + 4, show(top * quarter / 4), 'text-anchor="end"'))
    for size in sizes:
        if _has_room(size, sizes):
            parts.append(_text(x(size), HEIGHT - BOTTOM + 16, _short(size), 'text-anchor="middle"'))
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>' for size, value in points]
        parts.append(_text(LEFT + number * 110, 36, name, f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>\n"])


def _text(x, y, text, attributes):
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{html.escape(text)}</text>'


def _has_room(size, sizes):
    """Whether the label of a size would not overlap that of the last size."""
    return size == sizes[-1] or sizes[-1] / size >= (2 if len(sizes) < 4 else 3)


def _short(size):
    for factor, letter in (1_000_000, "M"), (1000, "k"):
        if size >= factor:
            return f"{size / factor:g}{letter}"
    return f"{size:g}"


def _round_up(value):
    """The next of 1, 2, 4, 6, 8 and 10 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 4, 6, 8, 10) if power * factor >= value)
