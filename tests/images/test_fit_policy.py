"""A fit policy: what names it, and which ones are refused."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import Any

import pytest

from transforms.images.fit.encode import CODEC_VERSIONS
from transforms.images.fit.policy import VERSION, FitPolicy


def test_a_policy_is_named_by_everything_that_changes_bytes() -> None:
    policy = FitPolicy(max_bytes=10, types=("png", "jpeg"))
    assert FitPolicy(max_bytes=10, types=("jpeg", "png", "png")).digest_text() == policy.digest_text()
    assert CODEC_VERSIONS in policy.digest_text() and policy.digest_text().startswith(f"fit/{VERSION} ")
    texts = {
        policy.digest_text(),
        FitPolicy(max_bytes=11, types=("png", "jpeg")).digest_text(),
        FitPolicy(max_bytes=10, types=("jpeg",)).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), max_pixels=5).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), min_quality=80).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), oversize="resize").digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), max_side=80).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), alpha="flatten").digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), animation="reject").digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), effort="best").digest_text(),
    }
    assert len(texts) == 10
    assert {field.name for field in fields_of(FitPolicy)} == {
        "max_bytes", "types", "max_pixels", "min_quality", "oversize", "max_side", "alpha", "animation", "effort",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields_", "message"),
    [
        ({"types": ("webp", "heic")}, "rewritten as jpeg or png"),
        ({"min_quality": 0}, "min_quality is 0"),
        ({"min_quality": 96}, "min_quality is 96"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"max_side": 0}, "max_side is 0"),
        ({"oversize": "cut"}, "oversize is 'cut'; it must be one of auto, recompress, resize, reject"),
        ({"alpha": ""}, "alpha is ''"),
        ({"animation": "all"}, "animation is 'all'"),
        ({"effort": "most"}, "effort is 'most'"),
    ],
)
def test_a_policy_that_cannot_be_met_is_refused(fields_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitPolicy(**{"max_bytes": 1, "types": ("jpeg",), **fields_})
