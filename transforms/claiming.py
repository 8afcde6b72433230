"""Claim an output folder: one live job at a time, and an epoch that orders the runs on it."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from transforms.committing import WORK
from transforms.storage import NotFound, StorageError, store_for

CLAIM = f"{WORK}/claim.json"


class Claimed(Exception):
    """Another live job has the folder. The text says whose it is and what to do."""


@dataclass(frozen=True)
class Claim:
    run: str
    epoch: int  # milliseconds since 1970, but always later than the claim before
    resumed: bool  # an earlier run left work here


def take_claim(folder: str, run: str, *, take_over: bool, remote: bool) -> Claim:
    """Claim a folder for a run, or go on where a dead one stopped.

    Args:
      take_over: replace the claim of a job that still lives, or that cannot be asked.
      remote: the job outlives this process, so its end does not free the folder.

    Raises:
      Claimed: by a live job.
    """
    store, path = store_for(folder), f"{folder}/{CLAIM}"
    now = int(time.time() * 1000)
    mine: dict[str, Any] = {
        "tuneset": "claim/1",
        "run": run,
        "epoch": now,
        "begun": now,  # when the first of the runs that went on from each other claimed the folder
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "remote": remote,
        "resumed": False,
    }
    while not store.create(path, json.dumps(mine).encode()):
        try:
            data, found = store.read(path)
        except NotFound:
            continue  # released in between
        theirs = _told(data)
        if theirs.get("run") == run:  # the answer to our own write was lost
            return Claim(run, theirs["epoch"], theirs["resumed"])
        if not take_over and not theirs:
            raise Claimed(f"{path} is damaged: if no job writes to {folder}, add --take_over.")
        if not take_over and _lives(theirs):
            raise Claimed(
                f"{folder} is being written by another job: run {theirs['run']} on {theirs['host']} (process "
                f"{theirs['pid']}), since {theirs['since']}. Wait for it, choose another --output, or, if that job is "
                "dead, add --take_over."
            )
        mine |= {"epoch": max(mine["epoch"], theirs.get("epoch", 0) + 1), "resumed": True}
        mine["begun"] = theirs.get("begun", theirs.get("epoch", now))
        if store.replace(path, json.dumps(mine).encode(), found.generation):
            break
        take_over = False  # somebody was faster: look again
    return Claim(run, mine["epoch"], mine["resumed"])


def still_ours(folder: str, run: str) -> bool:
    """Whether the folder is still claimed by this run: another may have taken over."""
    try:
        claim = _told(store_for(folder).read(f"{folder}/{CLAIM}")[0])
    except NotFound:
        return False
    return claim.get("run") == run


def state_of_claim(folder: str) -> str:
    """Whether a job has a folder: "live", "dead" (it stopped before it was done), or "" if there is no claim."""
    try:
        claim = _told(store_for(folder).read(f"{folder}/{CLAIM}")[0])
    except NotFound:
        return ""
    return "live" if not claim or _lives(claim) else "dead"  # of a damaged one nobody can tell


def release_claim(folder: str, run: str) -> None:
    """Say that a run has ended without sealing: the next one need not ask whether it lives."""
    store, path = store_for(folder), f"{folder}/{CLAIM}"
    with suppress(StorageError):  # sealed and swept; or storage is away or full, and the claim stands
        data, found = store.read(path)
        claim = _told(data)
        if claim.get("run") == run:
            store.replace(path, json.dumps(claim | {"ended": True}).encode(), found.generation)


def _told(data: bytes) -> dict[str, Any]:
    """A claim as it stands in storage; {} if it is damaged, as a machine without power leaves files."""
    try:
        claim: dict[str, Any] = json.loads(data)
    except ValueError:
        return {}
    return claim


def _lives(claim: dict[str, Any]) -> bool:
    """Whether the job of a claim may still be at work; only a process of this machine can be known to be dead."""
    if claim.get("ended"):
        return False
    if claim["remote"] or claim["host"] != socket.gethostname():
        return True
    started = _started(claim["pid"])
    return started != "" and started == claim["started"]


def _started(pid: int) -> str:
    """When a process began ("" if there is none): a number alone may be another process by now."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return ""
    try:  # no /proc: the number has to do
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
