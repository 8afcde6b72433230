"""The nightly schedule's Terraform, parsed: the provider that `terraform validate` wants is not to be had everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from beam_jobs.dataflow.templates import TEMPLATES, metadata

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "dataflow_templates/terraform"
TEXT = "".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.tf")))
NIGHT = yaml.safe_load((HERE / "night.yaml").read_text(encoding="utf-8"))["main"]


def plain(value: Any) -> Any:
    """A parsed value without the parser's marks: quotes around strings, and notes beside blocks."""
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.removeprefix('"').removesuffix('"') if isinstance(value, str) else value


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, Any]]:
    """Every resource by TYPE.NAME, every variable by var.NAME."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(HERE.glob("*.tf")):
        parsed = plain(hcl2.loads(path.read_text(encoding="utf-8")))
        for block in parsed.get("resource", []):
            for kind, named in block.items():
                found |= {f"{kind}.{name}": body for name, body in named.items()}
        for block in parsed.get("variable", []):
            found |= {f"var.{name}": body for name, body in block.items()}
    return found


def test_every_reference_leads_somewhere_and_every_variable_is_used(parts: dict[str, Any]) -> None:
    code = re.sub(r"#.*", "", TEXT)
    used = set(re.findall(r"\b((?:google_\w+\.[a-z]\w*)|(?:var\.\w+))", code))
    assert sorted(used - parts.keys()) == []
    assert sorted(name for name in parts if name.startswith("var.") and name not in used) == []
    assert [name for name, body in parts.items() if name.startswith("var.") and not body.get("description")] == []


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
