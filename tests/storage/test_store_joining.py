"""The contract of `Store`, held against local files and against a Cloud Storage server: joining pieces of objects."""

from __future__ import annotations

from typing import Any

import pytest
from store_place import JSONL, Place, joined
from wire import Wire, response

from transforms.storage.api import Changed, NotFound, Piece, StorageError, Unavailable
from transforms.storage.gcs import compose
from transforms.storage.gcs.store import GcsStore


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 70])
def test_join_of_whole_objects(place: Place, count: int) -> None:
    pieces = [place.piece(f"p/{i:03}", b"<%d>" % i * (i + 1)) for i in range(count)]
    assert joined(place, pieces) == b"".join(b"<%d>" % i * (i + 1) for i in range(count))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("small", [8 << 20, 0])
def test_join_of_ranges(place: Place, monkeypatch: pytest.MonkeyPatch, known: bool, small: int) -> None:
    monkeypatch.setattr(compose, "SMALL", small)
    monkeypatch.setattr(compose, "COPY", 16)
    pieces = [
        place.piece("p/0", b"0123456789", 3),
        place.piece("p/1", b"abcdefghij", 0, 9),
        place.piece("p/2", b"KLMNOPQRST", 9, 10),
        place.piece("p/3", b"whole"),
        place.piece("p/4", b"nothing of this", 5, 5),
        place.piece("p/5", b"z" * 50 + b"y" * 50, 1, 99),  # longer than is held at once
        place.piece("p/6", b"also whole"),
        place.piece("p/7", b""),
        place.piece("p/8", b"end.", 1),
    ]
    if not known:
        pieces = [Piece(p.uri, p.start, p.end, p.size) for p in pieces]
    assert joined(place, pieces) == b"3456789abcdefghiTwhole" + b"z" * 49 + b"y" * 49 + b"also wholend."


def test_join_of_one_object_again_and_again_and_over_itself(place: Place) -> None:
    piece = place.piece("p", b"ab")
    assert joined(place, [piece] * 40) == b"ab" * 40
    assert joined(place, [piece]) == b"ab"
    again = place.piece("out/joined", b"self")
    assert joined(place, [again, piece, again]) == b"selfabself"


def test_join_replaces_and_leaves_its_pieces(place: Place) -> None:
    pieces = [place.piece("p/0", b"abc"), place.piece("p/1", b"def", 1)]
    place.put("out/joined", b"what was there before")
    assert joined(place, pieces) == joined(place, pieces) == b"abcef"
    assert [place.store.read(piece.uri)[0] for piece in pieces] == [b"abc", b"def"]


@pytest.mark.parametrize("small", [8 << 20, 0])
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize(
    "begin, now",
    [(0, b"piecE"), (0, b"piece+"), (0, b"piec"), (1, b"piece+"), (1, b"")],
    ids=["bytes", "longer", "shorter", "range of longer", "range of empty"],
)
def test_join_notices_a_changed_piece(
    place: Place, monkeypatch: pytest.MonkeyPatch, begin: int, now: bytes, count: int, small: int
) -> None:
    monkeypatch.setattr(compose, "SMALL", small)
    pieces = [place.piece(f"p/{i:02}", b"piece", begin if i == count // 2 else 0) for i in range(count)]
    place.put(f"p/{count // 2:02}", now)
    before = place.names()
    with pytest.raises(Changed):
        place.store.join(place.uri("out/joined"), pieces, JSONL)
    assert place.names() == before  # neither the object nor anything temporary


def test_join_notices_a_changed_size_without_checksums(place: Place) -> None:
    pieces = [Piece(place.put(f"p/{i}", b"piece").uri, 0, 5, 5) for i in range(3)]
    place.put("p/1", b"piece+")
    with pytest.raises(Changed):
        place.store.join(place.uri("out/joined"), pieces, JSONL)
    assert place.names() == ["p/0", "p/1", "p/2"]


def test_join_notices_changed_bytes_of_what_it_copies(place: Place) -> None:
    pieces = [place.piece("p/0", b"piece", 1), place.piece("p/1", b"piece")]
    place.put("p/1", b"piecE")
    with pytest.raises(Changed, match="CRC32C"):
        place.store.join(place.uri("out/joined"), pieces, JSONL)


def test_gs_join_copies_from_another_bucket(bucket: str, gcs: Any) -> None:
    place, other = Place(GcsStore(), bucket), Place(GcsStore(), gcs.new_bucket())
    assert joined(place, [other.piece("p", b"there "), place.piece("p", b"here")]) == b"there here"


def test_gs_temporary_objects_lie_beside_the_destination_and_have_stable_names(wire: Wire, bucket: str) -> None:
    place = Place(GcsStore(), bucket)
    whole = [place.piece(f"p/{i}", b"piece") for i in range(33)]
    writes = []
    for _ in range(2):
        wire.sent.clear()
        place.store.join(place.uri("out/deep/joined"), [*whole, place.piece("q", b"xy", 1)], JSONL)
        writes.append(sorted(request for request in wire.sent if "%2Fjoin%2F" in request))
    assert writes[0] == writes[1]
    assert {request.split("%2F")[:4][-2:] == ["_tuneset", "join"] for request in writes[0]} == {True}
    assert {request.split()[0] for request in writes[0]} == {"POST", "DELETE"}


@pytest.mark.parametrize("pieces, error", [(2, NotFound), (40, Unavailable)])
def test_gs_a_compose_without_its_sources(wire: Wire, bucket: str, pieces: int, error: type[StorageError]) -> None:
    """Of committed parts: they are missing. Of what this join made itself: another execution deleted it, so again."""
    place = Place(GcsStore(), bucket)
    whole = [place.piece(f"p/{i:02}", b"piece") for i in range(pieces)]
    wire.answer = lambda request: response(404, b"{}") if "/out/compose" in request.url else None
    with pytest.raises(error):
        place.store.join(place.uri("out"), whole, JSONL)
    wire.answer = lambda request: None
    assert place.store.join(place.uri("out"), whole, JSONL)[0].size == 5 * pieces
