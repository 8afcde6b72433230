"""Claim an output folder: one live job at a time, and an epoch that orders the runs on it.

A claim of a job that ends with its process is kept fresh by a heartbeat (heartbeat.py), and is stale once it has not been renewed
for STALE_S. A claim of a job elsewhere names the job where its service can be asked. Either can be taken over at any time, which
its job notices before it seals (segments.py): claims save work, and what keeps a dataset right are receipts and epochs.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from transforms.core.output_names import CLAIM
from transforms.core.reasons import JobStopped
from transforms.storage import store_for
from transforms.storage.api import NotFound, StorageError

STALE_S = 180.0  # seconds without a heartbeat: six of them
_TRIES = 5  # at a claim that is renewed meanwhile
_FIELDS = {
    "run": str,
    "epoch": int,
    "since": str,
    "host": str,
    "pid": int,
    "started": str,
    "remote": bool,
    "resumed": bool,
}
RemoteJob = Mapping[str, str]  # a job elsewhere, as the launcher tells it: service, id and where it runs


class Claimed(JobStopped):
    """Another live job has the folder. The text says whose it is and what to do."""


@dataclass(frozen=True)
class Claim:
    run: str
    epoch: int  # milliseconds since 1970, but always later than the claim before
    resumed: bool  # an earlier run left work here


@dataclass(frozen=True)
class Answer:
    """What a service says of a job."""

    ended: bool
    text: str  # of a job that has not ended, or could not be asked after: what is known, and what to do


def nobody_to_ask(_: RemoteJob) -> Answer:
    return Answer(False, "")


def take_claim(folder: str, run: str, *, take_over: bool, ask: Callable[[RemoteJob], Answer] = nobody_to_ask) -> Claim:
    """Claim a folder for a run, or go on where a dead one stopped.

    Args:
      take_over: replace the claim of a job that still lives, or that cannot be asked.
      ask: asks a service after a job elsewhere; called only if a claim of one is met.

    Raises:
      Claimed: by a live job.
    """
    store, path = store_for(folder), f"{folder}/{CLAIM}"
    now = int(time.time() * 1000)
    mine: dict[str, Any] = {
        "tuneset": "claim/2",
        "run": run,
        "epoch": now,
        "begun": now,  # when the first of the runs that went on from each other claimed the folder
        "since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "remote": False,  # until a job is submitted, its claim too lives by this process
        "resumed": False,
    }
    overtaken = ""  # the run whose claim --take_over is about
    while not store.create(path, json.dumps(mine).encode()):
        try:
            data, found = store.read(path)
        except NotFound:
            continue  # released in between
        theirs = _parsed(data)
        if theirs.get("run") == run:  # the answer to our own write was lost
            return Claim(run, theirs["epoch"], theirs["resumed"])
        overtaken = overtaken or theirs.get("run", "damaged")
        if not take_over or theirs.get("run", "damaged") != overtaken:  # else somebody was faster
            _check_dead(theirs, folder, found.generation, ask)
        mine |= {"epoch": max(mine["epoch"], theirs.get("epoch", 0) + 1), "resumed": True}
        mine["begun"] = theirs.get("begun", theirs.get("epoch", now))
        if store.replace(path, json.dumps(mine).encode(), found.generation):
            break
    return Claim(run, mine["epoch"], mine["resumed"])


def _check_dead(claim: dict[str, Any], folder: str, generation: str, ask: Callable[[RemoteJob], Answer]) -> None:
    """Raises Claimed if the job of a claim may still be at work."""
    if claim.get("ended"):
        return
    if not claim:
        if _silent_for(folder, generation) > STALE_S:
            return  # nobody can own what names no run
        raise Claimed(f"{folder}/{CLAIM} is damaged: if no job writes to {folder}, add --take_over.")
    advice = "Wait for it, choose another --output, or, if that job is dead, add --take_over."
    if claim["remote"]:
        answer = ask(claim.get("job", {}))
        lives, advice = not answer.ended, answer.text or advice
    elif claim["host"] == socket.gethostname():
        lives = _alive(claim)
    elif claim["tuneset"] == "claim/1":  # of a version without heartbeats
        lives = True
    else:
        silent = _silent_for(folder, generation)
        lives = silent <= STALE_S
        advice = (
            f"Its last sign of life is {silent:.0f} s old: wait for it, or choose another --output. If it is dead, the same "
            f"command goes on {STALE_S:.0f} s after that sign, and at once with --take_over."
        )
    if lives:
        who = f"run {claim['run']} on {claim['host']} (process {claim['pid']}), since {claim['since']}"
        raise Claimed(f"{folder} is being written by another job: {who}. {advice}")


def _silent_for(folder: str, generation: str) -> float:
    """Seconds since a version of the claim was written; 0 if there is a newer one."""
    try:
        newest, age = store_for(folder).age(f"{folder}/{CLAIM}")
    except NotFound:  # released in between
        return 0
    return max(0.0, age) if newest == generation else 0


def still_ours(folder: str, run: str) -> bool:
    """Whether the folder is still claimed by this run: another may have taken over."""
    try:
        claim = _parsed(store_for(folder).read(f"{folder}/{CLAIM}")[0])
    except NotFound:
        return False
    return claim.get("run") == run


def state_of_claim(folder: str) -> str:
    """Whether a job has a folder: "live", "dead" (it stopped before it was done), or "" if there is no claim."""
    try:
        data, stat = store_for(folder).read(f"{folder}/{CLAIM}")
    except NotFound:
        return ""
    try:
        _check_dead(_parsed(data), folder, stat.generation, nobody_to_ask)
    except Claimed:
        return "live"
    return "dead"


def renew_claim(folder: str, run: str) -> bool:
    """Give a sign of life -> whether the folder is still claimed by this run."""
    store, path = store_for(folder), f"{folder}/{CLAIM}"
    try:
        data, found = store.read(path)
    except NotFound:
        return False
    if _parsed(data).get("run") != run:
        return False
    store.renew(path, data, found.generation)  # if it was another by then, the next sign will find out whose
    return True


def release_claim(folder: str, run: str) -> None:
    """Say that a run has ended without sealing: the next one need not ask whether it lives."""
    with suppress(StorageError):  # storage is away or full, and the claim stands
        _amend(folder, run, {"ended": True})


def hand_over_claim(folder: str, run: str, job: RemoteJob) -> None:
    """Say that a run was submitted: from now on its claim lives by the job, and not by this process.

    Args:
      job: what a service can be asked by; empty if there is none.
    """
    with suppress(StorageError):  # then the claim ends with its last sign of life, and work may be done twice
        _amend(folder, run, {"remote": True, "job": dict(job)})


def _amend(folder: str, run: str, changes: dict[str, Any]) -> None:
    """Change what a run's claim says; nothing if it is another's by now, or was swept."""
    store, path = store_for(folder), f"{folder}/{CLAIM}"
    for _ in range(_TRIES):
        try:
            data, found = store.read(path)
        except NotFound:
            return
        claim = _parsed(data)
        if claim.get("run") != run or store.replace(path, json.dumps(claim | changes).encode(), found.generation):
            return


def _parsed(data: bytes) -> dict[str, Any]:
    """A claim as it stands in storage; {} if it is damaged, as a machine without power leaves files."""
    try:
        claim: dict[str, Any] = json.loads(data)
        whole = all(type(claim[name]) is kind for name, kind in _FIELDS.items())
    except (ValueError, LookupError, TypeError):
        return {}
    return claim if whole else {}


def _alive(claim: dict[str, Any]) -> bool:
    """Whether the process of a claim of this machine is at work."""
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
