"""A person's own function from a row to rows (--transform): Row -> Rows; rejects: transform_failed.

It travels to workers as the text of its module, which each process runs once. What it raises costs the row that it was given, and
nothing else. What it returns goes through JSON, so that nothing is shared between rows, and all that can be written can be replayed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import islice
from types import GeneratorType, ModuleType
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError, WrongRequest
from transforms.core.records import Example, OpenBlock, Record, Row
from transforms.examples.rejected_rows import REJECTED
from transforms.inputs.hive_columns import hive_columns

MOST_ROWS = 10_000  # that may be made of one row
_CUT_TEXT = 500  # characters of what an exception says
Function = Callable[[dict[str, Any]], Any]
Reject = Callable[[OpenBlock, Row, RowError], None]


class FunctionError(WrongRequest):
    """The module of a function cannot be run, or has no such function."""


@dataclass(frozen=True)
class RowFunction:
    """A function, as it travels.

    name: of the function. module: path of its file, as tracebacks tell it. source: what that file holds.
    """

    name: str
    module: str
    source: bytes

    @cached_property
    def digest(self) -> str:
        """What block keys hold of the module: all its bytes."""
        return blake2b(self.source, digest_size=16).hexdigest()

    def load(self) -> Function:
        """The function itself.

        Raises:
            FunctionError: its module cannot be run here, or has no such function.
        """
        return _load(self)

    def made_of(self, obj: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows that the function makes of one, none if it drops it.

        Args:
            obj: JSON values; the function may change them.

        Raises:
            RowError: transform_failed.
        """
        function = self.load()
        try:
            made = function(obj)
            rows = list(islice(made, MOST_ROWS + 1)) if isinstance(made, GeneratorType) else made
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            raise RowError("transform_failed", f"{self.name}: {type(error).__name__}: {error}"[:_CUT_TEXT]) from None
        if rows is None:
            return []
        rows = [rows] if isinstance(rows, dict) else rows
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._fault(f"{_kind_of(rows)}; expected a dict, a list of dicts, or None")
        if len(rows) > MOST_ROWS:
            raise self._fault(f"over {MOST_ROWS:,} rows of one")
        return [self._as_json(row) for row in rows]

    def _as_json(self, row: dict[Any, Any]) -> dict[str, Any]:
        try:
            return jsonl.loads(jsonl.dumps(row))
        except TypeError as error:
            raise self._fault(f"what is no JSON: {error}") from None
        except RowError as error:
            raise self._fault(f"a row that cannot be used: {error.detail}") from None

    def _fault(self, what: str) -> RowError:
        return RowError("transform_failed", f"{self.name} returned {what}"[:_CUT_TEXT])


@lru_cache(maxsize=8)
def _load(function: RowFunction) -> Function:
    module = ModuleType(f"tuneset_transform_{function.digest}")
    module.__file__ = function.module
    sys.modules[module.__name__] = module  # as dataclasses and pickle look it up
    try:
        exec(compile(function.source, function.module, "exec"), module.__dict__)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:
        told = f"{function.module} cannot be run: {type(error).__name__}: {error}"
        if isinstance(error, ImportError):
            told += "; it travels alone, so it may import what is installed, and no file beside it"
        raise FunctionError(told) from None
    found = getattr(module, function.name, None)
    if not callable(found):
        names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise FunctionError(f"{function.module} has no function {function.name!r}; it has {', '.join(names) or 'none'}")
    made: Function = found
    return made


def _kind_of(value: Any) -> str:
    if isinstance(value, list):
        wrong = next(item for item in value if not isinstance(item, dict))
        return f"a list that holds a {type(wrong).__name__}"
    return f"a {type(value).__name__}"


def transformed(
    opened: OpenBlock, function: RowFunction | None, reject: Reject, *, folders_tell: bool
) -> Iterator[Row]:
    """The rows that are made of a block's, with what became of each in its ledger.

    Args:
        reject: puts a row of the block aside.
        folders_tell: whether names of folders (label=cat) are columns of the rows.
    """
    if function is None:
        yield from opened.rows
        return
    for row in opened.rows:
        try:
            rows = list(_made_of(row, function, folders_tell))
        except RowError as error:
            reject(opened, row, error)
            continue
        if not rows:
            opened.counters["examples_dropped"] += 1
        else:
            opened.counters["examples_added"] += len(rows) - 1
        yield from rows


def _made_of(row: Row, function: RowFunction, folders_tell: bool) -> Iterable[Row]:
    told = hive_columns(row.source) if folders_tell and "=" in row.source else {}
    if isinstance(row, Record):
        given = deepcopy({**told, **row.columns})
        return [replace(row, columns=made, transformed=True) for made in function.made_of(given)]
    try:
        obj = jsonl.loads(row.raw)
    except RowError:
        return [row]  # to be rejected as it is
    wrapped = _innermost(obj)
    if wrapped is None:
        return [_line(row, made) for made in function.made_of({**told, **obj})]
    if wrapped.get("transformed") is True or not isinstance(wrapped.get("row"), dict):
        return [row]
    return [
        _line(row, {**wrapped, "row": made, "transformed": True}) for made in function.made_of(dict(wrapped["row"]))
    ]


def _line(row: Row, obj: dict[str, Any]) -> Row:
    return Row(row.source, row.offset, row.line, jsonl.dumps(obj), transformed=True)


def _innermost(obj: dict[str, Any]) -> dict[str, Any] | None:
    """The line of a rejected.jsonl that holds the row itself; None: the object is no such line."""
    wrapped = None
    while obj.get("tuneset") == REJECTED:
        wrapped, inner = obj, obj.get("row")
        if not isinstance(inner, dict):
            break
        obj = inner
    return wrapped


class DistinctIds:
    """Keeps apart what one row became, where its rows come to equal examples.

    The low bits of an id are changed, and the split is decided by its high ones: a copy stays in the split of the first.
    """

    def __init__(self) -> None:
        self._taken: set[tuple[str, int, int]] = set()

    def settle(self, example: Example) -> None:
        """Give an example an id that no other example of its row has."""
        row, first, copies = example.row, example.id, 0
        while (row.source, row.offset, example.id) in self._taken:
            copies += 1
            example.id = first ^ copies
        self._taken.add((row.source, row.offset, example.id))
