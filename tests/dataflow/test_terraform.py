"""The Terraform of the nightly schedule and of the stream, parsed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from terraform import assert_whole, parts_of

from beam_jobs.dataflow.templates import TEMPLATES, metadata

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "dataflow_templates/terraform"
NIGHT = yaml.safe_load((HERE / "night.yaml").read_text(encoding="utf-8"))["main"]


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, Any]]:
    return parts_of("terraform")


@pytest.mark.parametrize("folder", ["terraform", "terraform_stream"])
def test_every_reference_leads_somewhere_and_every_variable_is_used(folder: str) -> None:
    assert_whole(folder)


def test_temporary_files_are_gone_when_they_are_deleted(parts: dict[str, Any]) -> None:
    temp, datasets = parts["google_storage_bucket.temp"], parts["google_storage_bucket.datasets"]
    assert temp["soft_delete_policy"] == [{"retention_duration_seconds": 0}]
    assert "soft_delete_policy" not in datasets  # there it is a safety net
    assert temp["lifecycle_rule"][0]["condition"][0]["matches_prefix"] == ["temp/", "staging/"]  # and not templates/
    assert {one["public_access_prevention"] for one in (temp, datasets)} == {"enforced"}


def roles(parts: dict[str, Any]) -> set[tuple[str, str]]:
    """(account, role) of everything that is granted; a custom role by its permissions."""
    custom = "custom: " + ", ".join(parts["google_project_iam_custom_role.launcher"]["permissions"])
    granted = [body for body in parts.values() if "member" in body]
    accounts = [body["member"].partition("google_service_account.")[2].partition(".")[0] for body in granted]
    return {(who, custom if "custom" in body["role"] else body["role"]) for who, body in zip(accounts, granted)}


def test_each_account_has_the_roles_that_the_docs_explain(parts: dict[str, Any]) -> None:
    text = (ROOT / "docs/dataflow.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", text, re.MULTILINE))
    assert told == roles(parts)
    broad = re.compile("admin|owner|editor|roles/viewer|developer", re.IGNORECASE)
    assert [role for _, role in told if broad.search(role)] == []


def test_the_night_passes_what_the_template_takes(parts: dict[str, Any]) -> None:
    offered = {parameter["name"] for parameter in metadata(TEMPLATES["batch"])["parameters"]}
    night = (HERE / "night.yaml").read_text(encoding="utf-8")
    passed = set(re.findall(r'map\.merge\([\w.]+, \{"(\w+)"', night))
    assert passed == {"output", "image_folder", "keep_blocks", "previous", "take_over"} and passed <= offered
    assert "yesterday" not in night  # a night that failed must not stop the next: the newest usable one is looked for
    body = parts["google_cloud_scheduler_job.night"]["http_target"][0]["body"]
    assert "input = var.input, sdk_container_image = var.image" in body and "input" in offered
    given = set(re.findall(r'sys\.get_env\("(\w+)"\)', night))
    assert given == set(parts["google_workflows_workflow.night"]["user_env_vars"])


def test_every_step_of_the_night_leads_to_a_step() -> None:
    steps = {name: body for step in NIGHT["steps"] for name, body in step.items()}
    nexts = [body["next"] for body in steps.values() if "next" in body]
    nexts += [case["next"] for body in steps.values() for case in body.get("switch", []) if "next" in case]
    assert set(nexts) <= steps.keys()
    states = re.findall(r'"(JOB_STATE_\w+)"', str(steps["judge"]))
    assert set(states) == {"JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}
    # Done is not sealed: the manifest has to be there.
    assert (
        steps["judge"]["switch"][0]["next"] == "sealed"
        and steps["sealed"]["call"] == "googleapis.storage.v1.objects.get"
    )


@pytest.fixture(scope="module")
def stream() -> dict[str, dict[str, Any]]:
    return parts_of("terraform_stream")


def test_the_stream_passes_what_its_template_takes(stream: dict[str, Any]) -> None:
    job = stream["google_dataflow_flex_template_job.stream"]
    offered = {parameter["name"] for parameter in metadata(TEMPLATES["stream"])["parameters"]}
    passed = set(re.findall(r"(\w+)\s*[=:] ", str(job["parameters"])))
    assert {"subscription", "watch", "output", "window"} <= passed and passed - {"sdk_container_image"} <= offered
    assert job["on_delete"] == "drain"  # a change seals what is open


def test_no_message_of_the_stream_is_lost_by_time_or_by_bad_luck(stream: dict[str, Any]) -> None:
    uploads, dead = (stream[f"google_pubsub_subscription.{name}"] for name in ("uploads", "dead"))
    assert uploads["message_retention_duration"] == "604800s" and dead["message_retention_duration"] == "2678400s"
    assert [one["expiration_policy"] for one in (uploads, dead)] == [[{"ttl": ""}]] * 2
    [letters] = uploads["dead_letter_policy"]
    assert letters == {"dead_letter_topic": "${google_pubsub_topic.dead.id}", "max_delivery_attempts": 100}
    assert stream["google_storage_notification.uploads"]["event_types"] == ["OBJECT_FINALIZE"]


def test_the_oldest_unsealed_arrival_is_watched_in_the_job_and_before_it(stream: dict[str, Any]) -> None:
    conditions = stream["google_monitoring_alert_policy.lagging"]["conditions"]
    watched = [re.search(r"metric.type = \S+?([a-z./_]+)\\", str(one)) for one in conditions]
    assert [found and found[1].rpartition("/")[2] for found in watched] == [
        "data_watermark_age",
        "oldest_unacked_message_age",
    ]


def test_each_account_of_the_stream_has_the_roles_that_the_docs_explain(stream: dict[str, Any]) -> None:
    text = (ROOT / "docs/streaming.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", text, re.MULTILINE))
    granted = set[tuple[str, str]]()
    for body in stream.values():
        if "member" in body:
            who = next(name for name in ("worker", "bucket", "gcp-sa-pubsub") if name in body["member"])
            each = body.get("for_each", "")
            some = re.findall(r"roles/[\w.]+", str(each)) if "each.key" in body["role"] else [body["role"]]
            granted |= {(who.replace("gcp-sa-pubsub", "pubsub"), role) for role in some}
    assert told == granted
