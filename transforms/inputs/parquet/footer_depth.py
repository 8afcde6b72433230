"""How deeply the schema in a Parquet footer nests, told before Arrow reads it: Arrow follows it by recursion, and 20,000 levels end
the process.

A footer is a struct of Thrift's compact protocol: version, schema, rows, row groups. Only what stands up to the schema is looked at.
"""

from __future__ import annotations

_SCHEMA, _CHILDREN = 2, 5  # ids of the fields: of the footer its schema, of an element of it the number of its children
_BOOLEANS, _BYTE, _DOUBLE, _BINARY, _LIST, _STRUCT = (1, 2), 3, 7, 8, 9, 12


def schema_depth(footer: bytes) -> int:
    """Levels of the schema; 0 if it does not begin like a footer.

    >>> schema_depth(bytes.fromhex("150219 2c 3502180173150200 3502180161150000"))
    2
    """
    try:
        return _Reader(footer).depth()
    except (IndexError, ValueError):
        return 0


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def depth(self) -> int:
        field = 0
        while kind := self._byte():
            field = self._field(kind, field)
            if field == _SCHEMA and kind & 15 == _LIST:
                head = self._byte()
                return self._levels(head >> 4 if head >> 4 < 15 else self._number())
            self._skip(kind & 15)
        return 0

    def _levels(self, elements: int) -> int:
        deepest, open_ = 0, list[int]()  # children that are still to come, of each element that the next one lies in
        for _ in range(elements):
            while open_ and not open_[-1]:
                open_.pop()
            if open_:
                open_[-1] -= 1
            children = field = 0
            while kind := self._byte():
                field = self._field(kind, field)
                if field == _CHILDREN and kind & 15 not in _BOOLEANS:
                    children = max(self._signed(), 0)
                else:
                    self._skip(kind & 15)
            deepest = max(deepest, len(open_) + 1)
            open_.append(children)
        return deepest

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _number(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _signed(self) -> int:
        number = self._number()
        return number >> 1 ^ -(number & 1)

    def _field(self, head: int, before: int) -> int:
        """The id of a field: told by its distance from the one before, or by itself."""
        return before + (head >> 4) if head >> 4 else self._signed()

    def _skip(self, kind: int, depth: int = 0) -> None:
        if kind in _BOOLEANS:
            return
        if kind in (_BYTE, _DOUBLE):
            self._at += 1 if kind == _BYTE else 8
        elif kind == _BINARY:
            length = self._number()
            self._at += length
        elif kind == _STRUCT and depth < 20:
            while head := self._byte():
                self._field(head, 0)
                self._skip(head & 15, depth + 1)
        elif kind < _BINARY:
            self._number()
        else:
            raise ValueError("no field of a schema")
