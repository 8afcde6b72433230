"""From settings and a claim to what the rooms are built with: everything that is derived once, on the launcher."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from beam_jobs.settings import Settings
from transforms.arrivals.previous import PreviousStream
from transforms.core import VERSION, jsonl
from transforms.core.finding_codes import ALL, AUTO, NONE
from transforms.core.records import Input
from transforms.dataset.block_files import Caps
from transforms.dataset.claim import Claim
from transforms.dataset.findings.sealed import FindingsSealer
from transforms.dataset.findings.written import Notes
from transforms.dataset.previous import PreviousDataset
from transforms.dataset.receipts import BlockKeys, ReceiptStore
from transforms.dataset.segments import SegmentWriter
from transforms.dataset.shared_images.edges import Joining
from transforms.dataset.upload_list import UploadLister
from transforms.examples.image_groups import BY_IMAGE
from transforms.examples.splits import sample_bound
from transforms.images.fit.encode import CODEC_VERSIONS
from transforms.images.fit.policy import FitPolicy
from transforms.images.folder_marks import mark_of
from transforms.images.identity import ADDRESS, CHECKSUM, HEAD_AND_TAIL, IDENTITIES
from transforms.images.inspection import Inspector
from transforms.images.orders import ImageRewriter
from transforms.images.sources import KnownImages
from transforms.images.staging import Stager
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.cutting import Cutter
from transforms.inputs.formats.unanswered import Unanswered
from transforms.inputs.registry import MEANINGS
from transforms.steps.running_counts import NOT_WATCHED, RunningCounts
from transforms.storage import abilities
from transforms.storage.api import Access
from transforms.storage.places import Places


@dataclass(frozen=True)
class Job:
    """One run, ready to be laid out. Paths in `settings` are absolute."""

    settings: Settings
    claim: Claim
    remote: bool  # the runner's workers see no local file of ours
    counts: RunningCounts = NOT_WATCHED  # where workers on this machine tell how far they are

    @property
    def access(self) -> Access:
        return self.settings.access

    @cached_property
    def receipt_store(self) -> ReceiptStore:
        return ReceiptStore(self.settings.output, self.claim.epoch, self.claim.run, self.access)

    @cached_property
    def earlier(self) -> PreviousDataset | None:
        """The night that receipts are taken from."""
        s = self.settings
        if not s.previous or s.windows:
            return None
        return PreviousDataset(
            self.receipt_store, ReceiptStore(s.previous, 0, "", self.access), s.trust_uris, s.threads
        )

    @property
    def known_images(self) -> KnownImages | None:
        """What --previous, a night or a stream, found of images."""
        s = self.settings
        return PreviousStream(s.windows, s.trust_uris, s.threads) if s.windows else self.earlier

    @cached_property
    def keys(self) -> BlockKeys:
        shaping = {
            **self.settings.shaping(),
            "image_folder": self.image_folder,
            "folders": self.inspector.places.folders,
            "tool": VERSION,
            "codecs": CODEC_VERSIONS,
        }
        if function := self.settings.row_function:
            shaping["transform_module"] = function.digest
        if self.inspector.identify:  # by which images are told from others depends on all inputs
            shaping["identity"] = self.inspector.identify
        return BlockKeys(jsonl.canonical(shaping).decode(), self.settings.names_of_splits)

    @property
    def joining(self) -> Joining:
        """What joins examples under --split_by image."""
        return Joining(self.settings.fractions.smallest, self.settings.join_common)

    @property
    def seed(self) -> bytes:
        return self.settings.seed.encode()

    @property
    def image_folder(self) -> str:
        return self.settings.image_folder or f"{self.settings.output}/images"

    @property
    def check_types(self) -> tuple[str, ...] | None:
        return self.settings.types if self.settings.verify == "none" else None

    @property
    def sample_below(self) -> int:
        fraction = self.settings.sample_fraction
        return 1 << 64 if fraction is None else sample_bound(fraction)

    @property
    def caps(self) -> Caps:
        s = self.settings
        return Caps(s.most_validation, s.sample_count, by_share=s.max_validation == "auto")

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.settings.inputs or tuple(Input(pattern) for pattern in self.settings.input)

    @property
    def cutter(self) -> Cutter:
        s = self.settings
        return Cutter(s.block_bytes, s.max_line_bytes, s.wanted, s.image_column, self._unanswered)

    @property
    def tables(self) -> TableReader:
        s = self.settings
        stager = Stager(self.image_folder)
        return TableReader(s.wanted, s.max_line_bytes, s.image_column, stager, self._unanswered)

    @property
    def _unanswered(self) -> Unanswered:
        s = self.settings
        return Unanswered(s.recipe.answers if s.recipe and not s.row_function else (), s.names_of_splits)

    @cached_property
    def inspector(self) -> Inspector:
        s = self.settings
        return Inspector(
            places=places(s, self.remote),
            verify=s.verify,
            policy=FitPolicy(
                max_bytes=s.max_image_bytes,
                types=s.types,
                max_pixels=s.max_pixels,
                min_quality=s.min_quality,
                oversize=s.oversize,
                max_side=s.max_side,
                alpha=s.alpha,
                animation=s.animation,
                effort=s.effort,
            ),
            on_bad_image=s.on_bad_image,
            threads=s.threads,
            upright=s.upright,
            decode_bytes=s.decode_memory * 1_000_000,
            identify=self._identity,
        )

    @property
    def _identity(self) -> str:
        """By what images are told from others: one kind a run. Only Cloud Storage tells checksums."""
        s = self.settings
        if s.verify == "none" or not (s.split_by == BY_IMAGE or s.findings in (ALL, AUTO)):
            return ""
        objects = all(abilities(one.pattern).has_buckets for one in self.inputs)
        return CHECKSUM if objects else HEAD_AND_TAIL

    @cached_property
    def rewriter(self) -> ImageRewriter:
        s = self.settings
        looks, travels = s.verify != "none", abilities(s.output).readable_by_service or s.uri_prefix != ""
        return ImageRewriter(
            receipt_store=self.receipt_store,
            inspector=self.inspector,
            image_folder=self.image_folder,
            stage=travels and looks and s.stage != "none",
            copy=s.stage == "copy",
            keep=looks and s.stage != "none",
            uri_prefix=s.uri_prefix,
        )

    @cached_property
    def writer(self) -> SegmentWriter:
        return SegmentWriter(self.settings.output, self.settings.verify != "none", self.claim.run, self.access)

    @property
    def uploads(self) -> UploadLister | None:
        s = self.settings
        if not s.uri_prefix:
            return None
        return UploadLister(writer=self.writer, image_folder=self.image_folder, uri_prefix=s.uri_prefix)

    @property
    def notes(self) -> Notes:
        return Notes(self.settings.findings, self.settings.profile.max_tokens)

    @property
    def findings(self) -> FindingsSealer | None:
        s = self.settings
        if s.findings == NONE:
            return None
        return FindingsSealer(s.findings, s.profile, s.output, IDENTITIES[self.inspector.identify or ADDRESS])

    @property
    def dataset(self) -> dict[str, Any]:
        """What the manifest says of the dataset beside its files and counts: a function of inputs and options."""
        s = self.settings
        more: dict[str, Any] = {"upload": self.uploads.mapping} if self.uploads else {}
        if s.row_function:
            more["transform_module"] = s.row_function.digest
        if s.names_of_splits:
            more["split_names"] = asdict(s.names_of_splits)
        if s.split_by == BY_IMAGE:
            more["image_identity"] = IDENTITIES[self._identity or ADDRESS]
        if s.profile.status:
            more["model_status"] = asdict(s.profile.status) | {"models": list(s.profile.models)}
        return more | {
            "tool": VERSION,
            "codecs": CODEC_VERSIONS,
            "inputs": list(s.input),
            "formats": [one_input.format for one_input in self.inputs],
            "output": s.output,
            "options": s.shaping() | s.not_shaping(),
            "verified": s.verify != "none",
            "limits": s.profile.source,
        }

    @property
    def by_class(self) -> bool:
        """Whether the files of an input, and so its rows, stand in the order of their classes."""
        return any(MEANINGS[one_input.format].of_files for one_input in self.inputs)

    @property
    def run(self) -> dict[str, Any]:
        # What was left out is told here: it is no property of the dataset, which is the same without it.
        left_out = sorted({folder for one_input in self.inputs for folder in one_input.left_out})
        return {
            "id": self.claim.run,
            "epoch": self.claim.epoch,
            "resumed": self.claim.resumed,
            "started": time.time(),
            "left_out": left_out,
            "warnings": [notice.as_json() for notice in self.settings.notices],
            "asked": self.settings.asked,
            "mark": mark_of(self.dataset, may_make=True),
        }


def places(settings: Settings, remote: bool) -> Places:
    """Where images may be read: what is allowed, as far as the workers see it."""
    folders = settings.of_inputs.readable
    if remote:
        folders = tuple(folder for folder in folders if not abilities(folder).has_paths)
    tables = any(MEANINGS[one_input.format].may_hold_images for one_input in settings.inputs)
    staged = (settings.image_folder or f"{settings.output}/images") if tables else ""
    return Places(folders, staged, root=settings.image_root)
