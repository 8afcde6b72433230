"""VQA v2's questions and annotations, two JSON files that are joined -> a line of JSON for each question.

The answers of `v2_OpenEnded_mscoco_train2014_questions.json` stand in `v2_mscoco_train2014_annotations.json` beside it, or in the
same file. They are joined by `question_id` in bounded memory, some 40 bytes an answer.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.formats.joined.json_items import ItemScan, items, key_of
from transforms.storage import store_for
from transforms.storage.api import NotFound
from transforms.storage.packings import Damaged

COLUMNS = ("image", "question", "answer", "answers", "question_id", "question_type", "answer_type")
_CHUNK = 4 << 20  # bytes read at a time
_MOST = 1 << 30  # bytes of answers that are held
_SUBTYPE = re.compile(rb'"data_subtype"\s*:\s*"([\w.-]{1,80})"')
_IMAGE = ("image", "file_name", "image_name", "image_path")  # keys of a question that name its image


def is_vqa(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a file of questions.

    >>> is_vqa(b'{"info": {}, "data_subtype": "val2014", "questions": [{"question": 1'), is_vqa(b'{"questions": 1}')
    (True, False)
    """
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    scan = ItemScan()
    try:
        for _ in scan.feed(head):
            break
    except Damaged:
        return False
    return scan.keys[:1] == ["questions"] and b'"question"' in head


def lines_of(extent: Extent) -> Iterator[bytes]:
    """The rows of a file of questions, as lines of JSON.

    Raises:
        Damaged: a file is no JSON, or there are no annotations.
    """
    answers, subtype = _Answers(), ""
    try:
        for uri, generation in _annotation_files(extent):
            for key, text in items(_chunks(uri, generation)):
                if key == "annotations":
                    answers.add(jsonl.loads(text))
        answers.sort()
        head = next(_chunks(extent.uri, extent.generation), b"")
        if told := _SUBTYPE.search(head):
            subtype = told[1].decode()
        for key, text in items(_chunks(extent.uri, extent.generation)):
            if key == "questions":
                yield jsonl.dumps(_row(jsonl.loads(text), subtype, answers)) + b"\n"
    except RowError as error:
        raise Damaged(error.detail, error.reason) from None


def _annotation_files(extent: Extent) -> list[tuple[str, str]]:
    """The files that hold answers, with their versions."""
    folder, _, name = extent.uri.rpartition("/")
    other = name.replace("OpenEnded_", "").replace("MultipleChoice_", "").replace("questions", "annotations")
    if other != name:
        try:
            return [(f"{folder}/{other}", store_for(folder).stat(f"{folder}/{other}").generation)]
        except NotFound:
            pass  # the answers may stand in the same file
    return [(extent.uri, extent.generation)]


def _chunks(uri: str, generation: str) -> Iterator[bytes]:
    store, at, size = store_for(uri), 0, 1
    while at < size:
        data, found = store.read(uri, at, at + _CHUNK, generation)
        at, size = at + _CHUNK, found.size
        yield data


def _row(question: dict[str, Any], subtype: str, answers: _Answers) -> dict[str, Any]:
    image = next((question[key] for key in _IMAGE if isinstance(question.get(key), str)), None)
    number = question.get("image_id")
    if image is None and isinstance(number, int):
        image = f"COCO_{subtype}_{number:012}.jpg" if subtype else f"{number:012}.jpg"
    told = answers.of(key_of(question.get("question_id"), "question_id of a question"))
    return {
        "image": image if image is not None else str(number or ""),
        "question": question.get("question"),
        "question_id": question.get("question_id"),
        **told,
    }


class _Answers:
    """The answers of annotations, as text, by their question."""

    def __init__(self) -> None:
        self._texts, self._ends, self._keys = bytearray(), array("Q"), array("Q")
        self._order: Any = None
        self._sorted: Any = None

    def add(self, annotation: dict[str, Any]) -> None:
        given = annotation.get("answers")
        texts = (
            [one.get("answer") if isinstance(one, dict) else one for one in given] if isinstance(given, list) else []
        )
        said = [text for text in texts if isinstance(text, str)]
        answer = annotation.get("multiple_choice_answer", annotation.get("answer"))
        if not isinstance(answer, str):
            answer = Counter(said).most_common(1)[0][0] if said else None
        kinds = {key: annotation.get(key) for key in ("question_type", "answer_type")}
        self._texts += jsonl.dumps({"answer": answer, "answers": said, **kinds})
        self._ends.append(len(self._texts))
        self._keys.append(key_of(annotation.get("question_id"), "question_id of an annotation"))
        if len(self._texts) > _MOST:
            raise Damaged(
                f"over {_MOST:,} bytes of answers, which one worker would have to hold: part the files", "bad_record"
            )

    def sort(self) -> None:
        """Have the answers in the order of their questions' keys.

        Raises:
            Damaged: there are none.
        """
        if not self._keys:
            raise Damaged(
                "there are no annotations: expected ..._annotations.json beside ..._questions.json", "not_rows"
            )
        keys = np.frombuffer(self._keys, np.uint64)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def of(self, key: int) -> dict[str, Any]:
        """What is said of a question; nothing if it has no annotation."""
        place = int(np.searchsorted(self._sorted, np.uint64(key)))
        if place == len(self._sorted) or int(self._sorted[place]) != key:
            return {"answer": None, "answers": []}
        number = int(self._order[place])
        start = self._ends[number - 1] if number else 0
        return jsonl.loads(bytes(self._texts[start : self._ends[number]]))
