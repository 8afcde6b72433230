"""What comes after the seal: upload, grants, the agent, regions and the call that starts the job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tuning_calls import check_tuning

from transforms.dataset.tuning.next_steps import next_in_manifest, tuning_steps

NUMBERED = ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl")
UPLOADED = {
    "upload_list": {"name": "upload-images.txt", "lines": 3},
    "upload": {"from": "/out/images", "to": "gs://up/set/images"},
}


def dataset(*names: str, **changes: Any) -> dict[str, Any]:
    """What a manifest says of a dataset; each file has a line, but for those called NAME!."""
    files = [{"name": name.rstrip("!"), "lines": int(not name.endswith("!")), "bytes": 9} for name in names]
    told: dict[str, Any] = {
        "output": "gs://out/set",
        "uploadable": "yes",
        "splits": {"train": 1, "validation": 1},
        "files": files or dataset("train.jsonl", "validation.jsonl")["files"],
        "buckets": [],
        "options": {"uri_prefix": "", "model": "image-tuning"},
    }
    options = told["options"] | changes.pop("options", {})
    return told | changes | {"options": options}


@pytest.mark.parametrize(
    "told, uris",
    [
        (dataset(), ("gs://out/set/train.jsonl", "gs://out/set/validation.jsonl")),
        (dataset("train.jsonl", "validation.jsonl!"), ("gs://out/set/train.jsonl", "")),
        (dataset(*NUMBERED, "validation.jsonl"), (f"gs://out/set/{NUMBERED[0]}", "gs://out/set/validation.jsonl")),
        (
            dataset(output="/a", options={"uri_prefix": "gs://up/set/"}),
            ("gs://up/set/train.jsonl", "gs://up/set/validation.jsonl"),
        ),
        (dataset(output="/a"), ("gs://BUCKET/FOLDER/train.jsonl", "gs://BUCKET/FOLDER/validation.jsonl")),
        (
            dataset(output='gs://out/"\\é\U0001f600'),
            ('gs://out/"\\é\U0001f600/train.jsonl', 'gs://out/"\\é\U0001f600/validation.jsonl'),
        ),
    ],
)
def test_the_call_is_one_that_googles_types_accept(told: dict[str, Any], uris: tuple[str, str]) -> None:
    steps = next_in_manifest(told)
    step = steps["tune"]
    config = check_tuning(step["python"] + steps["explain"]["python"], uris)
    assert step["uris"] == {split: uri for split, uri in zip(("train", "validation"), uris) if uri}
    assert config.tuned_model_display_name == uris[0].rpartition("/")[0].rpartition("/")[2]
    assert step["python"].isascii() and "vertexai.tuning" not in step["python"]


def test_regions_models_and_explain_are_said() -> None:
    steps = next_in_manifest(dataset())
    text = steps["tune"]["text"]
    assert "gemini-3.1-flash-lite and gemini-3.5-flash can be tuned (preview, as of 2026-11-29)" in text
    assert "in us-central1 and europe-west4 alone" in text
    assert (
        "`tuneset explain gs://out/set --job job.json`" in steps["explain"]["text"] and "for several jobs" not in text
    )
    assert "those numbered of train are for several jobs" in next_in_manifest(dataset(*NUMBERED))["tune"]["text"]


def test_the_agent_exists_only_after_a_first_job() -> None:
    text = next_in_manifest(dataset())["service_agent"]["text"]
    assert "Principal does not exist" in text and "client.tunings.cancel(name=job.name)" in text


@pytest.mark.parametrize("count", [9, 10, 11])
def test_every_bucket_is_granted_in_the_manifest_and_ten_on_the_screen(count: int) -> None:
    told = dataset(buckets=[f"bucket-{number:02}" for number in range(count - 1)])
    (command,) = next_in_manifest(told)["grants"]["commands"]
    assert all(f"gs://{bucket}" in command for bucket in (*told["buckets"], "out")) and command.count("gs://") == count
    shown = next(step for step in tuning_steps(told, 10) if step.name == "grants")
    assert shown.commands[0].count("gs://") == min(count, 10)
    assert ("1 more, which run.next of manifest.json grants" in shown.text) is (count == 11)


def test_a_local_dataset_is_uploaded_first() -> None:
    told = dataset(output="/out", options={"uri_prefix": "gs://up/set"}, buckets=["up"], **UPLOADED)
    steps = next_in_manifest(told)
    assert list(steps) == ["upload", "grants", "service_agent", "tune", "explain"]
    assert list(steps["upload"]["commands"]) == [
        "(cd /out/images && gcloud storage cp --no-clobber --read-paths-from-stdin gs://up/set/images/ < /out/upload-images.txt)",
        "(cd /out && gcloud storage cp train.jsonl validation.jsonl manifest.json gs://up/set/)",
    ]


def test_what_cannot_be_tuned_on_says_what_is_missing() -> None:
    assert list(next_in_manifest(dataset(uploadable="not yet", output="/out"))) == ["make_uploadable"]
    assert "tune" not in next_in_manifest(dataset("train.jsonl!", splits={"train": 0, "validation": 1}))


def test_pages_and_recipes_show_no_older_sdk() -> None:
    root = Path(__file__).parents[2]
    shown = [root / "README.md", *root.glob("docs/*.md"), *root.glob("examples/*")]
    older = re.compile(r"vertexai\.(tuning|init|preview)|\bsft\.")
    assert len(shown) > 25
    assert [path.name for path in shown if path.is_file() and older.search(path.read_text(encoding="utf-8"))] == []
