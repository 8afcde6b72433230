"""What the six recipes share: they run one command, show an excerpt of what it wrote, and the calls that start the tuning job."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from beam_jobs.commands.prepare import prepare

TUNING = """The tuning job, with the google-genai SDK:

  from google import genai
  from google.genai import types

  client = genai.Client(vertexai=True, project="PROJECT", location="us-central1")
  client.tunings.tune(
      base_model="gemini-2.5-flash",
      training_dataset=types.TuningDataset(gcs_uri="{train}"),
      config=types.CreateTuningJobConfig(
          validation_dataset=types.TuningValidationDataset(gcs_uri="{validation}"),
          tuned_model_display_name="{name}",
      ),
  )

or with the vertexai SDK:

  import vertexai
  from vertexai.tuning import sft

  vertexai.init(project="PROJECT", location="us-central1")
  sft.train(
      source_model="gemini-2.5-flash",
      train_dataset="{train}",
      validation_dataset="{validation}",
      tuned_model_display_name="{name}",
  )
"""


def encoded(image: Image.Image, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def main(name: str, make: Callable[[Path], Sequence[str]]) -> int:
    """Draw the data into a folder (the script's argument), prepare it, tell what came of it -> exit status."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else f"demo/{name}").resolve()
    bucket = f"gs://my-bucket/{name}"
    flags = [*make(folder / "raw"), "--output", str(folder / "dataset"), "--uri_prefix", bucket, "--overwrite"]
    print(f"  {shlex.join(['tuneset', 'prepare', *flags])}\n", flush=True)
    status = prepare(flags)
    if status:
        return status
    for split in ("train", "validation"):
        first, *_ = (folder / f"dataset/{split}.jsonl").read_text().splitlines() or ["{}"]
        print(f"\nThe first line of {split}.jsonl:\n{json.dumps(json.loads(first), indent=2, ensure_ascii=False)}")
    print(f"\n{TUNING.format(train=f'{bucket}/train.jsonl', validation=f'{bucket}/validation.jsonl', name=name)}")
    return 0
