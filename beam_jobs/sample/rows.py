"""Write the demo dataset: 66 rows of Gemini JSONL and the pictures they name, all made by code.

The six use cases of image tuning are served: catalogue, moderation, inspection, classification, recommendation and
table extraction. What a real delivery holds is there: files that conform, files that must be rewritten, and three rows
that cannot be used. Pictures and answers come from the same tables below, so no answer differs from what was drawn.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from beam_jobs.sample import drawing
from beam_jobs.sample.content import (
    BY_SKU,
    FLOWERS,
    ITEMS,
    MISSING,
    OUTFITS,
    PARTS,
    POSTERS,
    SHELF,
    TABLES,
    THUMBS,
    TILES,
    TRUNCATED,
    WALLS,
    Item,
)
from beam_jobs.sample.drawing import COLOURS

TYPES = {"jpg": "jpeg", "png": "png", "webp": "webp", "bmp": "bmp", "gif": "gif"}


def write_sample(folder: Path) -> Path:
    """Write the demo dataset into `folder`: `examples.jsonl` and, beside it, `images/`; some 26 MB.

    The bytes depend on nothing but this code and Pillow. A file that already holds them is left alone, time stamp
    included: a job knows its input's version by size and time, and goes on where it stopped only if neither moved.

    Returns:
        The path of `examples.jsonl`, whose `fileUri`s are relative to its folder.

    Raises:
        OSError: The folder cannot be written. The same call later mends what a broken one left.
    """
    rows = (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in _rows())
    _put(folder / "examples.jsonl", "".join(f"{row}\n" for row in rows).encode())
    for name, data in _pictures():
        _put(folder / "images" / name, data)
    return folder / "examples.jsonl"


def _put(path: Path, data: bytes) -> None:
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _pictures() -> Iterator[tuple[str, bytes]]:
    """Every picture as (name under images/, bytes)."""
    for item in ITEMS:
        lights = (1.0, 0.6, 0.2, 0.6) if item.file.endswith(".gif") else (1.0,)  # the lamp that pulses
        look = (item.kind, COLOURS[item.colour], item.brand, item.size, WALLS[item.kind])
        frames = [drawing.product(*look, light).done() for light in lights]
        if item.sku == "SHOE-04":  # its name lies
            yield item.file, _encode(frames, "png")
        elif item.sku == "SHIRT-02":
            yield item.file, _encode([_turned(frames[0])], "jpg", exif=_orientation(6))
        elif item.sku == "SHIRT-04":
            yield item.file, _encode([frames[0].convert("CMYK")], "jpg")
        else:
            yield item.file, _encode(frames, item.file)
    for poster in POSTERS:
        scene = drawing.poster(poster.lines, COLOURS[poster.colour], Random(poster.file))
        yield poster.file, _encode([scene.done()], poster.file)
    for part in (*PARTS, TRUNCATED):
        data = _encode([drawing.part(part.form, part.defect, part.x, part.y, Random(part.file)).done()], part.file)
        yield part.file, data[: len(data) * 3 // 5] if part is TRUNCATED else data
    for kind, colour in FLOWERS.items():
        yield f"{kind}.jpg", _encode([drawing.flower(kind, COLOURS[colour]).done()], "jpg")
    for i, name in enumerate(THUMBS):
        kind, colour = list(FLOWERS)[i % 4], ("red", "yellow", "white", "pink", "purple", "orange", "blue")[i % 7]
        yield name, _encode([drawing.flower(kind, COLOURS[colour], scale=0.44).done()], "jpg")
    for shape, colour in TILES.items():
        yield f"{shape}.jpg", _encode([drawing.tile(shape, COLOURS[colour]).done()], "jpg")
    for name, skus in OUTFITS.items():
        top, shoe = (BY_SKU[sku] for sku in skus)
        scene = drawing.flat_lay(COLOURS[top.colour], top.brand, COLOURS[shoe.colour], shoe.brand, Random(name))
        yield name, _encode([scene.done()], name)
    for table in TABLES:
        yield table.file, _encode([drawing.table(table.title, table.rows, COLOURS[table.colour]).done()], table.file)
    items = [(i.kind, COLOURS[i.colour], i.brand) for i in (BY_SKU[sku] for sku in SHELF)]
    photo = _turned(drawing.grain(drawing.shelf(items, scale=11).done(), Random("shelf"), 0.15))
    yield "shelf.jpg", _encode([photo], "jpg", quality=98, subsampling=0, exif=_orientation(6))  # over 20 MB


def _encode(frames: Sequence[Image.Image], name: str, **how: Any) -> bytes:
    """The frames as a file of the type that `name` ends in."""
    kind = TYPES[name.rsplit(".", 1)[-1]]
    if kind == "gif":
        frames = [frame.resize((400, 300)) for frame in frames]
        how = {"save_all": True, "append_images": frames[1:], "duration": 150, "loop": 0}
    elif kind in ("jpeg", "webp"):
        how = {"quality": 90, **how}
    out = io.BytesIO()
    frames[0].save(out, kind, **how)
    return out.getvalue()


def _turned(upright: Image.Image) -> Image.Image:
    """The picture as a camera on its side stores it: orientation 6 (a quarter turn clockwise) shows it upright."""
    return upright.transpose(Image.Transpose.ROTATE_90)


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def _image(name: str) -> dict[str, Any]:
    mime = f"image/{TYPES[name.rsplit('.', 1)[-1]]}"
    return {"fileData": {"mimeType": mime, "fileUri": f"images/{name}"}}


def _captioned(names: Sequence[str]) -> list[dict[str, Any]]:
    return [part for i, name in enumerate(names, 1) for part in (_image(name), {"text": f"Image {i}."})]


def _row(use_case: str, group: str, *turns: str | list[Any], system: str = "", **columns: str) -> dict[str, Any]:
    """A row of user and model turns by turns; a turn is its text, or a list of ready parts and, last, its text."""
    head = {"systemInstruction": {"parts": [{"text": system}]}} if system else {}
    contents = []
    for i, turn in enumerate(turns):
        ready, text = ([], turn) if isinstance(turn, str) else (turn[:-1], turn[-1])
        contents.append({"role": ("user", "model")[i % 2], "parts": [*ready, {"text": text}]})
    return {**head, "contents": contents, "use_case": use_case, "group": group, **columns}


def _rows() -> Iterator[dict[str, Any] | str]:
    """Every line of the dataset: a row, or the text of the one that is no JSON."""
    yield from _catalogue_rows()
    yield from _moderation_rows()
    yield from _inspection_rows()
    yield '{"contents": [{"role": "user", "parts": [{"text": "Which brand is on the la'  # an upload that broke off
    yield from _classification_rows()
    yield from _recommendation_rows()
    yield from _table_rows()


def _catalogue_rows() -> Iterator[dict[str, Any]]:
    ask = "List category, brand, colour and size of this product as JSON."
    for item in (*ITEMS, MISSING):
        answer = json.dumps({"category": item.kind, "brand": item.brand, "colour": item.colour, "size": item.size})
        yield _row("catalogue", item.brand, [_image(item.file), ask], answer, sku=item.sku)
    top, middle, bottom = (f"{i.colour} {i.kind} by {i.brand}" for i in (BY_SKU[sku] for sku in SHELF))
    answer = f"At the top a {top}, in the middle a {middle}, at the bottom a {bottom}."
    yield _row("catalogue", "shelf", [_image("shelf.jpg"), "What stands here, from top to bottom?"], answer)
    mug = _image("mug-03.jpg")["fileData"]
    snake = {"file_data": {"mime_type": mug["mimeType"], "file_uri": mug["fileUri"]}}  # as Python clients write it
    ask, answer = "De quelle couleur est cette tasse, et de quelle marque ?", "Elle est verte, imprimée « KAFA »."
    yield _row("catalogue", "KAFA", [snake, ask], answer, sku="MUG-03")
    tour = ("MUG-01", "SHOE-01", "MUG-03", "LAMP-02", "BAG-01", "SHIRT-01", "SHOE-03")
    asks = ("What is this?", "And this?", "The next one?", "And here?", "This one?", "Now this?", "And the last?")
    turns: list[Any] = []
    for item, ask in zip((BY_SKU[sku] for sku in tour), asks):
        turns += [[_image(item.file), ask], f"{item.colour.title()} {item.kind} by {item.brand}, size {item.size}."]
    yield _row("catalogue", "tour", *turns, system="You are a shop's stock clerk. Answer in a few words.")
    ask, answer = "Which attributes does every entry of the catalogue need?", "Category, brand, colour and size."
    yield _row("catalogue", "text", ask, answer)


def _moderation_rows() -> Iterator[dict[str, Any]]:
    rules = "Shop pictures must not hold spam, contact details, counterfeit goods or misleading claims."
    ask = "May this picture be shown in the shop? Answer as JSON with decision and policy."
    for file, policy in [*((poster.file, poster.policy) for poster in POSTERS), ("mug-03.jpg", "none")]:
        answer = json.dumps({"decision": "allow" if policy == "none" else "block", "policy": policy})
        yield _row("moderation", file.split(".")[0], [_image(file), ask], answer, system=rules)


def _inspection_rows() -> Iterator[dict[str, Any]]:
    ask = "Inspect this part. Answer as JSON with verdict, defect and its place."
    for part in (*PARTS, TRUNCATED):
        flaw = {} if part.defect == "none" else {"defect": part.defect, "place": part.place}
        answer = json.dumps({"verdict": "fail" if flaw else "pass", **flaw})
        yield _row("inspection", part.form, [_image(part.file), ask], answer)
    rng, turns = Random("trays"), list[Any]()
    for tray in range(1, 7):  # 24 images: more than an example may hold, though no exchange is
        four = rng.sample(PARTS, 4)
        bad = [f"image {i} has a {p.defect} at the {p.place}" for i, p in enumerate(four, 1) if p.defect != "none"]
        ask = f"Tray {tray}: which parts fail?"
        turns += [[*_captioned([part.file for part in four]), ask], f"In tray {tray} {', '.join(bad)}."]
    yield _row("inspection", "trays", *turns, system="You inspect machined parts, four to a tray.")


def _classification_rows() -> Iterator[dict[str, Any]]:
    for kind in FLOWERS:
        ask = "Which flower is this: daisy, sunflower, poppy or tulip?"
        yield _row("classification", "flowers", [_image(f"{kind}.jpg"), ask], kind)
    for shape, colour in TILES.items():
        ask = "Name the colour and shape of this tile."
        yield _row("classification", "tiles", [_image(f"{shape}.jpg"), ask], f"{colour} {shape}")
    ask, answer = "この花の名前と色は何ですか。", "ピンク色のチューリップです。"
    yield _row("classification", "flowers", [_image("tulip.jpg"), ask], answer)
    # 40 images, to be cut into pieces: the answer holds for any of them
    ask = "What do all of these images have in common?"
    answer = "Each of them shows a single flower with two green leaves under a pale blue sky."
    yield _row("classification", "thumbs", [*_captioned(THUMBS), ask], answer)


def _recommendation_rows() -> Iterator[dict[str, Any]]:
    cases = (
        ("SHIRT-02", "colour", ("SHOE-02", "SHOE-01", "SHOE-03")),
        ("SHOE-03", "brand", ("SHOE-01", "SHOE-02", "SHOE-04")),
        ("MUG-01", "brand", ("MUG-03", "MUG-02", "MUG-04")),
        ("LAMP-01", "brand", ("LAMP-03", "LAMP-02")),
    )
    for sku, by, offers in cases:
        ask = f"A customer likes image 1. Which other one has the same {by}?"
        yield _offer(BY_SKU[sku].file, BY_SKU[sku], offers, by, ask)
    for file, (_, shoe) in OUTFITS.items():
        ask = "Which bag completes the outfit of image 1, in the colour of its shoe?"
        yield _offer(file, BY_SKU[shoe], ("BAG-01", "BAG-02", "BAG-03"), "colour", ask)


def _offer(file: str, like: Item, skus: Sequence[str], by: str, ask: str) -> dict[str, Any]:
    """A row that shows `file`, then the offers; the answer is the only offer whose attribute `by` is that of `like`."""
    offers = [BY_SKU[sku] for sku in skus]
    ((n, best),) = [(n, o) for n, o in enumerate(offers, 2) if getattr(o, by) == getattr(like, by)]
    parts = _captioned([file, *(offer.file for offer in offers)])
    answer = f"Image {n}: the {best.colour} {best.kind} by {best.brand}."
    return _row("recommendation", like.brand, [*parts, ask], answer)


def _table_rows() -> Iterator[dict[str, Any]]:
    ask = "Extract this table as JSON: its title, and its rows with the header's names as keys."
    for table in TABLES:
        head, *body = table.rows
        answer = json.dumps({"title": table.title, "rows": [dict(zip(head, row)) for row in body]})
        yield _row("tables", table.file.split(".")[0], [_image(table.file), ask], answer)
