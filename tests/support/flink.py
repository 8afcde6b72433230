"""A Flink of this machine, started for tests: Beam's job server with a Flink inside it, or in front of a cluster of two.

Every port is a free one; every process is in a session that is ended with its context.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from waiting import until

PARTS = Path(__file__).parents[2] / "engines"
LIBRARIES = f"{PARTS / 'flink'}/lib/*"
# What Flink's own start script would compute: a TaskManager that is started without it wants each of them.
MEMORY = {
    "cpu.cores": "1.0",
    "memory.framework.heap.size": "128mb",
    "memory.framework.off-heap.size": "128mb",
    "memory.task.heap.size": "256mb",
    "memory.task.off-heap.size": "16mb",
    "memory.managed.size": "256mb",
    "memory.network.min": "256mb",
    "memory.network.max": "256mb",
    "memory.jvm-metaspace.size": "256mb",
    "memory.jvm-overhead.min": "192mb",
    "memory.jvm-overhead.max": "192mb",
}


def need(ready: bool, what: str) -> None:
    if not ready:
        pytest.fail(f"{what}: run `make engines`", pytrace=False)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def kill_group(group: int) -> None:
    if group_lives(group):
        os.killpg(group, signal.SIGKILL)


@contextmanager
def java(log: Path, heap: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Java process of Flink's libraries, in a session of its own, in the folder of its log."""
    need((PARTS / "flink/ready").exists(), "engines/flink is not there")
    need(shutil.which("java") is not None, "there is no java to run engines/flink with")
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["java", f"-Xmx{heap}", "-cp", LIBRARIES, *words],
            stdout=out,
            stderr=out,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        kill_group(process.pid)
        process.wait(10)


@contextmanager
def job_server(folder: Path, master: str = "[local]") -> Iterator[str]:
    """Beam's job server in front of a Flink, by default one inside it -> HOST:PORT. It chooses its ports itself."""
    log = folder / "job-server"
    ports = [word for name in ("job", "artifact", "expansion") for word in (f"--{name}-port", "0")]
    driver = "org.apache.beam.runners.flink.FlinkJobServerDriver"
    with java(
        log, "1g", driver, "--flink-master", master, "--artifacts-dir", str(folder / "artifacts"), *ports
    ) as server:
        until(lambda: b"Job server now running" in log.read_bytes() or server.poll() is not None, 60)
        found = re.search(r"JobService started on (\S+)", log.read_text())
        assert found and server.poll() is None, log.read_text()
        yield found[1]


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A JobManager and two TaskManagers -> (HOST:PORT of the JobManager, the TaskManagers' processes).

    Each TaskManager has two slots, so that one alone can go on with a job of parallelism two, which at first is spread over both.
    """
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        rpc, rest = one.getsockname()[1], other.getsockname()[1]
    settings = {
        "jobmanager.rpc.address": "localhost",
        "jobmanager.rpc.port": rpc,
        "jobmanager.memory.process.size": "1024m",
        "rest.address": "localhost",
        "rest.port": rest,
        "taskmanager.host": "localhost",
        "taskmanager.numberOfTaskSlots": 2,
        "taskmanager.load-balance.mode": "SLOTS",
        "parallelism.default": 2,
        "heartbeat.interval": 1000,
        "heartbeat.timeout": 8000,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 5,
        "restart-strategy.fixed-delay.delay": "1 s",
        "io.tmp.dirs": folder / "tmp",
    }
    conf = folder / "conf"
    conf.mkdir()
    (folder / "tmp").mkdir()
    (conf / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    with ExitStack() as stack:
        entry = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        stack.enter_context(java(folder / "job-manager", "512m", entry, "--configDir", str(conf)))
        workers = []
        for number in (1, 2):
            words = [f"taskmanager.{name}={value}" for name, value in MEMORY.items()]
            words.append(f"taskmanager.resource-id=worker-{number}")
            runner = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
            flags = [part for word in words for part in ("-D", word)]
            started = java(folder / f"task-manager-{number}", "700m", runner, "--configDir", str(conf), *flags)
            workers.append(stack.enter_context(started).pid)
        manager = folder / "job-manager"
        found = until(lambda: manager.read_text().count("Registering TaskManager") >= 2, 60)
        assert found, manager.read_text()[-4000:]
        yield f"localhost:{rest}", workers


def process_environment(folder: Path) -> list[str]:
    """Beam's flags for workers that are processes of the machine where the work is, as a container would start them."""
    need((PARTS / "boot").exists(), "engines/boot is not there")
    script = folder / "boot.sh"
    script.write_text(f'#!/bin/sh\nPATH="{Path(sys.executable).parent}:$PATH" exec "{PARTS}/boot" "$@"\n')
    script.chmod(0o755)
    return [
        "--environment_type=PROCESS",
        "--environment_cache_millis=60000",  # else each of the many stages starts workers of its own
        f"--environment_option=process_command={script}",
        "--environment_option=process_variables=RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1",
    ]
