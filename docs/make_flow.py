"""Draws docs/pictures/flow-light.svg and flow-dark.svg, the README's picture of the flow: `python docs/make_flow.py`.

Text and boxes are data here, so that a step that is renamed is renamed in one place. A test compares the files with what is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 452
BOX_WIDTH, BOX_HEIGHT = 148, 84
COLUMNS = (12, 194, 376, 558, 740)  # left edges, in pixels
ROWS = (12, 128, 244, 360)  # upper edges
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Colours:
    text: str
    faint: str  # of second lines, arrows and labels
    step: str
    data: str
    edge: str


SCHEMES = {
    "light": Colours(text="#1f2328", faint="#59636e", step="#ddf4ff", data="#f6f8fa", edge="#8c959f"),
    "dark": Colours(text="#f0f6fc", faint="#9198a1", step="#12314f", data="#21262d", edge="#656c76"),
}


@dataclass(frozen=True)
class Box:
    column: int
    row: int
    title: str
    lines: tuple[str, ...]
    is_data: bool = False  # what is read or written; else a step of the job
    columns: int = 1  # how many columns it spans


BOXES = (
    Box(0, 1, "Rows", ("JSONL, tables,", "folders, AutoML"), is_data=True),
    Box(2, 0, "Images", ("gs:// or local: they", "stay where they are"), is_data=True),
    Box(1, 1, "Read and check", ("blocks of 256 KB, by", "Gemini's rules")),
    Box(2, 1, "Inspect images", ("one or two small", "reads of each")),
    Box(3, 1, "Split and assign", ("pieces; train,", "validation, test")),
    Box(4, 1, "Commit", ("a receipt for", "each block, once")),
    Box(2, 2, "Fit", ("each distinct image", "once, in a helper")),
    Box(4, 2, "Seal", ("check the ledger,", "join the blocks")),
    Box(
        1,
        3,
        "Dataset",
        (
            "train.jsonl   validation.jsonl   test.jsonl   rejected.jsonl (each with a reason)   images/",
            "examples.parquet   images.parquet   manifest.json (written last)",
        ),
        is_data=True,
        columns=4,
    ),
)


def right_of(column: int) -> int:
    return COLUMNS[column] + BOX_WIDTH


def middle(column: int) -> int:
    return COLUMNS[column] + BOX_WIDTH // 2


def arrows() -> list[str]:
    """Paths of the arrows, as SVG has them."""
    main = ROWS[1] + BOX_HEIGHT // 2
    along = [f"M{right_of(column)} {main}H{COLUMNS[column + 1] - 3}" for column in range(4)]
    down = [
        f"M{middle(column)} {ROWS[row] + BOX_HEIGHT}V{ROWS[row + 1] - 3}"
        for column, row in ((2, 0), (2, 1), (4, 1), (4, 2))
    ]
    fitted = f"M{right_of(2)} {ROWS[2] + BOX_HEIGHT // 2}H{middle(3)}V{ROWS[1] + BOX_HEIGHT + 3}"
    return [*along, *down, fitted]


def labels() -> list[tuple[int, int, str, str]]:
    """Words beside arrows: x, y, where they are anchored, the words."""
    below = ROWS[1] + BOX_HEIGHT + 20
    return [
        (middle(2) - 8, below, "end", "too large or unsupported"),
        (right_of(2) + 8, ROWS[2] + BOX_HEIGHT // 2 + 18, "start", "rewritten"),
    ]


def draw(colours: Colours) -> str:
    """The picture -> SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="{FONT}" font-size="13" role="img">',
        "<title>How rows and images become a sealed dataset</title>",
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{colours.faint}"/></marker></defs>',
    ]
    parts += [
        f'<path d="{path}" fill="none" stroke="{colours.faint}" stroke-width="1.5" marker-end="url(#head)"/>'
        for path in arrows()
    ]
    parts += [
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="12" fill="{colours.faint}">{escape(words)}</text>'
        for x, y, anchor, words in labels()
    ]
    for box in BOXES:
        parts += draw_box(box, colours)
    return "\n".join([*parts, "</svg>", ""])


def draw_box(box: Box, colours: Colours) -> list[str]:
    """One box with its title and lines."""
    left, top = COLUMNS[box.column], ROWS[box.row]
    width = right_of(box.column + box.columns - 1) - left
    centre = left + width // 2
    fill = colours.data if box.is_data else colours.step
    outline = ' stroke-dasharray="5 3"' if box.is_data else ""
    frame = (
        f'<rect x="{left}" y="{top}" width="{width}" height="{BOX_HEIGHT}" rx="8" fill="{fill}" '
        f'stroke="{colours.edge}"{outline}/>'
    )
    title = (
        f'<text x="{centre}" y="{top + 27}" text-anchor="middle" font-size="15" font-weight="600" '
        f'fill="{colours.text}">{escape(box.title)}</text>'
    )
    lines = [
        f'<text x="{centre}" y="{top + 48 + 18 * number}" text-anchor="middle" fill="{colours.faint}" '
        f'xml:space="preserve">{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    ]
    return [frame, title, *lines]


def pictures() -> dict[str, str]:
    """SVG by the file's name in docs/pictures/."""
    return {f"flow-{name}.svg": draw(colours) for name, colours in SCHEMES.items()}


if __name__ == "__main__":
    folder = Path(__file__).resolve().parent / "pictures"
    for name, svg in pictures().items():
        (folder / name).write_text(svg, encoding="utf-8")
