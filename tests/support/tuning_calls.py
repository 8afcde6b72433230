"""Printed Python that starts a tuning job, held against google-genai's own types."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from google.genai import Client, types
from google.genai.tunings import Tunings


def check_tuning(code: str, uris: tuple[str, str]) -> Any:
    """The calls have the SDK's own argument names, and their values are built by the SDK's own types -> the job's config.

    Args:
      code: what is printed, without indentation.
      uris: of training and validation ("" for none) that it must name.
    """
    tree = ast.parse(code)
    calls = {ast.unparse(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for name, function in (
        ("client.tunings.tune", Tunings.tune),
        ("client.tunings.get", Tunings.get),
        ("genai.Client", Client.__init__),
    ):
        words = {word.arg for word in calls[name].keywords}
        assert words <= inspect.signature(function).parameters.keys(), name
    assert callable(getattr(types.TuningJob, "model_dump_json", None)) and callable(Tunings.cancel)

    values = {word.arg: ast.unparse(word.value) for word in calls["client.tunings.tune"].keywords}
    training, config = (eval(values[key], {"types": types}) for key in ("training_dataset", "config"))
    validation = config.validation_dataset.gcs_uri if config.validation_dataset else ""
    assert (training.gcs_uri, validation) == uris
    assert ast.literal_eval(values["base_model"]) == "gemini-3.1-flash-lite"
    return config
