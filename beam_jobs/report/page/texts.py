"""Texts of data on a page: cut, so that no page grows beyond its bytes whatever a dataset holds."""

from __future__ import annotations

from html import escape


def cut(text: str, most: int = 1200) -> str:
    """A text, or its beginning with a word that it goes on.

    Args:
      most: bytes that it may take on a page, where letters such as < take several.

    >>> cut("short", 5), cut("a < b", 6)
    ('short', 'a < ... (5 characters)')
    """
    end = most
    while (size := bytes_on_page(text[:end])) > most:
        end = min(end - 1, end * most // size)
    return text if len(text) <= end else f"{text[:end]} ... ({len(text):,} characters)"


def bytes_on_page(text: str) -> int:
    """Bytes that a text takes where it is escaped."""
    return len(escape(text).encode(errors="replace"))
