"""Whether the engine that a job is for is there: asked before anything is written, and answered within 20 seconds.

Beam itself waits five minutes for a job server, and then says "FutureTimeoutError".
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from urllib.parse import urlsplit

import grpc
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
)

from beam_jobs.options import OptionError
from transforms.core.reasons import JobStopped

PATIENCE = 10.0  # seconds that a server may take to be there, as one that was started just now
_PAUSE = 0.5  # seconds
_FLINK_PORT = 8081
_MAGIC = ("[local]", "[auto]", "[collection]")  # masters of Flink that no address names


class NoEngine(JobStopped):
    """No engine answers. The text says where it was looked for and what to do."""


def check_engine(runner: str, options: PipelineOptions) -> None:
    """Ask the engine of a runner whether it is there.

    Args:
      runner: the class of the runner.

    Raises:
      NoEngine: it does not answer.
      OptionError: an option that leads to it is missing or wrong.
    """
    endpoint = options.view_as(PortableOptions).job_endpoint
    if runner == "PortableRunner" and not endpoint:
        raise OptionError(
            "--runner PortableRunner needs --job_endpoint HOST:PORT, the address of a job server: start one, or leave --runner "
            "out to work in this process"
        )
    if runner in ("PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner") and endpoint and endpoint != "embed":
        _check_job_server(endpoint)
    elif runner == "PrismRunner":
        _check_prism(options.view_as(PrismRunnerOptions).prism_location or "")
    elif runner == "FlinkRunner":
        _check_flink(options)


def _check_job_server(endpoint: str) -> None:
    channel = grpc.insecure_channel(endpoint)
    try:
        grpc.channel_ready_future(channel).result(timeout=PATIENCE)
    except grpc.FutureTimeoutError:
        why = _why_not(*_address(endpoint, "job_endpoint"), patience=0.0) or "whoever answers there is no job server"
        raise NoEngine(
            f"No job server answers at {endpoint} (--job_endpoint), where it was looked for during {PATIENCE:g} s: {why}. Start "
            "it, or name its address; nothing was written"
        ) from None
    finally:
        channel.close()


def _check_flink(options: PipelineOptions) -> None:
    flink = options.view_as(FlinkRunnerOptions)
    master = flink.flink_master.strip()
    if master not in _MAGIC:
        host, port = _address(master, "flink_master", _FLINK_PORT)
        if why := _why_not(host, port, PATIENCE):
            raise NoEngine(
                f"No Flink answers at {host}:{port} (--flink_master), where it was looked for during {PATIENCE:g} s: {why}. "
                "Start it, or name its address; nothing was written"
            )
    java = options.view_as(JobServerOptions).job_server_java_launcher
    if (master in _MAGIC or not flink.flink_submit_uber_jar) and shutil.which(java) is None:
        raise NoEngine(
            f"--runner FlinkRunner starts Beam's job server with Java, and there is no {java!r}: install Java, or start a job "
            "server elsewhere and name it with --runner PortableRunner --job_endpoint HOST:PORT"
        )


def _check_prism(location: str) -> None:
    if location and "://" not in location and not os.path.exists(location):
        raise OptionError(f"--prism_location {location}: there is no such file; expected Prism's program, or its URL")


def _address(given: str, option: str, port: int | None = None) -> tuple[str, int]:
    """The host and port that an option names.

    Raises:
      OptionError: it names none.
    """
    parts = urlsplit(given if "://" in given else f"//{given}")
    try:
        number = parts.port or port
    except ValueError:
        number = None
    if not parts.hostname or number is None:
        raise OptionError(f"--{option} {given}: expected HOST:PORT")
    return parts.hostname, number


def _why_not(host: str, port: int, patience: float) -> str:
    """Why nobody can be connected to within so many seconds, or ""."""
    deadline = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((host, port), timeout=max(2.0, deadline - time.monotonic())).close()
            return ""
        except socket.gaierror as error:
            return f"the name {host} is not known ({error.strerror})"
        except OSError as error:
            if time.monotonic() >= deadline:
                return error.strerror or str(error)
        time.sleep(_PAUSE)
