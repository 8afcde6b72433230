"""What a row of a table means: its images, then the prompt, answered by the answer. Record -> Example; rejects rows without them.

The one door by which rows of other formats than Gemini's become examples; what follows does not know where they came from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

from transforms.core import jsonl
from transforms.core.media_types import named_by, type_by_name
from transforms.core.places import inside
from transforms.core.reasons import RowError
from transforms.core.records import Example, Record
from transforms.examples.image_cells import columns_of_images, image_value, is_image_template, names_in
from transforms.examples.pieces import MOST_IMAGES, too_many
from transforms.examples.prompt_templates import Template, is_path, parse_template, value_of
from transforms.examples.splits import hash64

STAGED = "content"  # the key beside `path` of an image that stood in its row and was staged: the digest of its bytes
_LIST = re.compile(r"[\[(;|,\n]")  # what a list in a text holds
_SHOWN_KEYS = 10  # of a sidecar
_ABSOLUTE = re.compile(r"/|[a-z]+://")
_template = lru_cache(parse_template)


@dataclass(frozen=True)
class Columns:
    """How the rows of one format hold what a recipe needs.

    image: the column of a row's images; "": those that options name. verbatim: its value is one name as it is, be there white space
    around it. answer, boxes: the templates of the answer if none is asked for, and of a row with `boxes`. fault: the column that says
    what is wrong with a box, or holds the reason and the text of another fault. sidecars: templates of the names of files beside an
    image that may tell its `sidecar`.
    """

    image: str = ""
    verbatim: bool = False
    answer: str = ""
    boxes: str = ""
    fault: str = ""
    sidecars: tuple[str, ...] = ()


TABLE_COLUMNS = Columns()


@dataclass(frozen=True)
class Recipe:
    """How rows become examples.

    images: columns that hold a table's images, or templates of their names. answer: None for the format's own. splits:
    names that --split_by and --split_column look up. empty_boxes: whether an image may have no box.
    """

    prompt: Template
    answer: Template | None = None
    system: Template | None = None
    images: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    empty_boxes: bool = True

    @cached_property
    def _paths(self) -> bool:
        """Whether a part of the image's path may be asked for."""
        templates = (self.prompt, self.answer, self.system)
        names = (*self.splits, *(name for t in templates if t for name in t.names))
        return self.answer is None or any(map(is_path, names))  # a format's own answer may be the image's folder

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that a table must have, in order, each once."""
        templates = (t for t in (self.prompt, self.answer, self.system) if t)
        names = (
            *columns_of_images(self.images),
            *self.splits,
            *(name for template in templates for name in template.names),
        )
        return tuple(dict.fromkeys(name for name in names if not is_path(name)))

    @property
    def answers(self) -> tuple[str, ...]:
        """Columns of the answer alone, which a test may be published without."""
        templates = (t for t in (self.prompt, self.system) if t)
        others = {
            *columns_of_images(self.images),
            *self.splits,
            *(name for template in templates for name in template.names),
        }
        return tuple(name for name in (self.answer.names if self.answer else ()) if name not in others)

    def example(
        self,
        row: Record,
        base: str,
        *,
        seed: bytes,
        check_types: Collection[str] | None,
        read_as: Columns = TABLE_COLUMNS,
    ) -> Example:
        """One row as an example.

        Args:
            base: folder that relative image paths start from.
            seed, check_types: as gemini_rules.parse_example takes them.
            read_as: what the columns of the row's format are; by default a table's.

        Raises:
            RowError: other_format (there is no answer), no_image,
                too_many_images, bad_image_value, bad_box, empty_text, empty_answer or unsupported_media.
        """
        columns = row.columns
        if read_as.fault and (fault := columns.get(read_as.fault)):
            raise RowError(*fault) if isinstance(fault, list) else RowError("bad_box", str(fault))
        if not self.empty_boxes and columns.get("boxes") == []:
            raise RowError("no_boxes", "the image has no box, under --empty_boxes reject")
        found = self._images(row, read_as)
        path = _below(found[0][0], base) if self._paths else ""
        answer = self.answer or self._own_answer(row, read_as)
        prompt, reply = self.prompt.render(columns, path), answer.render(columns, path)
        if not prompt or prompt.isspace():
            raise RowError("empty_text", "the prompt is blank for this row")
        if not reply or reply.isspace():
            raise RowError("empty_answer", _why_blank(answer, columns, found[0][0], read_as.sidecars))
        images = []
        parts: list[dict[str, Any]] = []
        for uri, content in found:
            kind = type_by_name(uri)
            if check_types is not None and kind not in check_types:
                raise RowError("unsupported_media", f"image/{kind} cannot be used as it is", uri)
            image = {"mimeType": f"image/{kind}", "fileUri": content or uri}
            images.append(image)
            parts.append({"fileData": image})
        parts.append({"text": prompt})
        contents = [{"role": "user", "parts": parts}, {"role": "model", "parts": [{"text": reply}]}]
        named: dict[str, Any] = {"contents": contents}
        head: dict[str, Any] = {}
        system = self.system.render(columns, path) if self.system else ""
        if system and not system.isspace():
            head = {"systemInstruction": {"role": "system", "parts": [{"text": system}]}}
            named |= head
        example_id = hash64(jsonl.canonical(named), seed)
        for image, (uri, _) in zip(images, found):  # the id is of what an image holds, not of where this run put it
            image["fileUri"] = uri
        for name in self.splits:
            if name not in columns:
                columns = {**columns, name: value_of(columns, name, path)}
        text = prompt + reply
        text_bytes = len(text) if text.isascii() else len(text.encode())
        return Example(row, example_id, contents, head, columns, images, text_bytes=text_bytes, base=base)

    def rebased(self, row: Record, folder: str, base: str) -> Record:
        """A row whose relative images are told from `base`, a folder above the row's own."""
        below = folder[len(base) :].strip("/")
        # What a template comes to stands under its own text, so that it is not put together anew.
        values = {name: image_value(name, row.columns) for name in self.images if below}
        moved = {
            name: _moved(value, below) if isinstance(value, str) else [_told_from(below, one) for one in value]
            for name, value in values.items()
            if isinstance(value, str) or (is_image_template(name) and value)
        }
        return replace(row, columns=row.columns | moved, raw=b"", base=base)

    def _own_answer(self, row: Record, read_as: Columns) -> Template:
        own = read_as.boxes if read_as.boxes and row.columns.get("boxes") is not None else read_as.answer
        if not own:
            raise RowError("other_format", f"the row is of a {row.format}: replay it with its --answer")
        return _template(own)

    def _images(self, row: Record, read_as: Columns) -> list[tuple[str, str]]:
        """(URI as written, digest of a staged one or "") of each image, in the order of the columns."""
        columns = row.columns
        if read_as.verbatim and isinstance(columns.get(read_as.image), str):
            return [(columns[read_as.image], "")]
        found: list[tuple[str, str]] = []
        for name in (read_as.image,) if read_as.image else self.images:
            value = columns[name] if name in columns else image_value(name, columns)
            if isinstance(value, str) and not _LIST.search(value):
                if value := value.strip():
                    found.append((value, ""))
            else:
                found += islice(_listed(value, name), MOST_IMAGES + 1)
        if len(found) > MOST_IMAGES:
            raise too_many()
        if not found:
            raise RowError("no_image", f"the row names no image in {', '.join(self.images) or 'image'}")
        return found


def _listed(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """The images of a value that may be more than a name: a list (also as text in a cell), or Hugging Face's bytes and path.

    One after another, so that of a list of millions no more are made than are taken.
    """
    if isinstance(value, str):
        value = names_in(value)
    if value is None:
        return
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                yield from _listed(item, name)
            elif item := item.strip():
                yield item, ""
    elif isinstance(value, dict) and isinstance(value.get("path"), str) and value["path"]:
        content = value.get(STAGED)
        yield value["path"], content if isinstance(content, str) else ""
    elif not isinstance(value, dict) or value.get("path") is not None or value.get("bytes") is not None:
        raise RowError(
            "bad_image_value", f"{name}: {jsonl.text(value)[:80]} is no path, URI, list of them or bytes and path"
        )


def _why_blank(answer: Template, columns: Mapping[str, Any], image: str, sidecars: Sequence[str]) -> str:
    """What is said of a row whose answer is blank: what its places stand for, and where that was looked for."""
    start, names = "the answer is blank for this row", answer.names
    beside = [name for name in names if name.partition(".")[0] == "sidecar"]
    if not sidecars or not beside:
        places = ", ".join(f"{{{name}}}" for name in names)
        return f"{start}: {places} {'stands' if len(names) == 1 else 'stand'} for nothing" if names else start
    value = columns.get("sidecar")
    if value is None:
        looked_for = ", ".join(_template(name).render({}, image) for name in sidecars)
        return f"{start}: there is no sidecar beside the image; looked for {looked_for}"
    holds = ", ".join(map(repr, islice(value, _SHOWN_KEYS))) if isinstance(value, dict) else jsonl.text(value)[:80]
    return f"{start}: {{{beside[0]}}} stands for nothing in its sidecar, which holds {holds or 'nothing'}"


def _moved(cell: str, folder: str) -> Any:
    """What a cell holds, its relative names told from a folder above."""
    names = [_told_from(folder, one) for one in names_in(cell)]
    return names if _LIST.search(cell) else "".join(names)


def _told_from(folder: str, name: Any) -> Any:
    return f"{folder}/{name}" if isinstance(name, str) and not _ABSOLUTE.match(name) else name


def _below(uri: str, base: str) -> str:
    """A path relative to a folder if it lies in it, else as it is; of a URL its path."""
    if base and inside(uri, base):
        return uri[len(base) :].lstrip("/")
    return named_by(uri)
