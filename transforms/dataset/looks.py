"""What a look at a block leaves under --split_by image: facts of its images, and their hashes, under a receipt of its own.

All blocks are looked at before any is worked, since the split of an example depends on other blocks. What storage then says was seen
first is what every later execution goes by, on this night and, where nothing has changed, on the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

from transforms.core.records import Block, ImageFacts, OpenBlock, Receipt
from transforms.dataset.image_rows import is_open
from transforms.dataset.receipts import ReceiptStore
from transforms.dataset.shared_images.hashes import FACTS, HASHES, pack_hashes
from transforms.examples.image_groups import image_hashes


def commit_look(opened: OpenBlock, looks: ReceiptStore, rejects: bool, verified: bool) -> Receipt:
    """Put what inspection found of a block, unless another execution did -> the receipt that is in storage.

    Args:
      rejects: one unusable image rejects its example.
      verified: images were looked at; otherwise their URIs, which the rows tell, are all that there is to compare.
    """
    run, numbers = pack_hashes([image_hashes(example, opened.facts, rejects) for example in opened.examples])
    parts = [(HASHES, run, len(run))]
    if verified:
        parts.append((FACTS, dump_facts(opened.facts.values()), len(opened.facts)))
    # Counters, warnings and rejections are those of the block's own receipt, which comes later.
    look = OpenBlock(opened.block, opened.key, facts=opened.facts)
    return looks.commit(look, parts, numbers)


def dump_facts(facts: Iterable[ImageFacts]) -> bytes:
    return json.dumps([asdict(fact) for fact in facts]).encode()


def parse_facts(data: bytes) -> dict[str, ImageFacts]:
    """Facts by the source that they are of."""
    return {fact["uri"]: ImageFacts(**fact) for fact in json.loads(data)}


def usable(facts: Mapping[str, ImageFacts]) -> dict[str, ImageFacts]:
    """Those of images that were found as their rows name them, and can be used."""
    return {
        source: replace(fact, kept=False, fetched="")  # which were true of that night
        for source, fact in facts.items()
        if not (fact.reason or fact.respelled)
    }


def copies(facts: Mapping[str, ImageFacts]) -> dict[str, int]:
    """Copies beside the dataset of images that are named by URL, with their bytes."""
    return {fact.copied: fact.size for fact in facts.values() if fact.copied}


def generations(facts: Mapping[str, ImageFacts], block: Block) -> dict[str, str]:
    """The images that must still be what they were, as image_rows.generations tells them of a table."""
    own = {(extent.uri, extent.generation) for extent in block.extents}
    wanted = {}
    for source, fact in facts.items():
        if fact.respelled:
            wanted[source] = ""
        elif is_open(source, fact.reason) and (source, fact.generation) not in own:
            wanted[source] = fact.generation
    return wanted
