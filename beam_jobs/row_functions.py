"""--transform MODULE:FUNCTION -> the function, with the text of its module, found as a file of this machine."""

from __future__ import annotations

import importlib.util
import os
import re

from transforms.inputs.row_function import FunctionError, RowFunction

_MOST_BYTES = 4 << 20  # of a module, which every block's key and every worker takes along
_WORD = re.compile(r"(?P<module>.+):(?P<function>[^\W\d]\w*)")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_transform(word: str) -> None:
    """Raises ValueError for a word that names no function of a module."""
    found = _WORD.fullmatch(word)
    if not found or not (found["module"].endswith(".py") or _DOTTED.fullmatch(found["module"])):
        raise ValueError("expected MODULE:FUNCTION, as in rows:clean or jobs/rows.py:clean")


def row_function_of(word: str) -> RowFunction:
    """The function that --transform names, once it was loaded here.

    Raises:
        FunctionError: there is no such file, or it cannot be run.
    """
    module, _, name = word.rpartition(":")
    path = _path_of(module)
    try:
        with open(path, "rb") as file:
            source = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise FunctionError(f"--transform {word}: {path}: {error.strerror}") from None
    if len(source) > _MOST_BYTES:
        raise FunctionError(f"--transform {word}: {path} has over {_MOST_BYTES:,} bytes: is it a module?")
    function = RowFunction(name, path, source)
    try:
        function.load()
    except FunctionError as error:
        raise FunctionError(f"--transform {word}: {error}") from None
    return function


def _path_of(module: str) -> str:
    """The file of a module: of the folder that the command is run in, or an installed one."""
    if module.endswith(".py"):
        return module
    beside = module.replace(".", os.sep) + ".py"
    if os.path.exists(beside):
        return beside
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise FunctionError(
            f"--transform {module}: there is neither {beside} here nor an installed module of this name"
        )
    return spec.origin
