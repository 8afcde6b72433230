"""Signals that stop a process, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from beam_jobs.signals import stops_as_interrupts

WAITS = """
import os, subprocess, sys
from beam_jobs.signals import stops_as_interrupts
with stops_as_interrupts():
    children = [
        subprocess.Popen(["sh", "-c", "sleep 60 & wait"]),
        subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, start_new_session=True),
    ]
    try:
        print("ready", flush=True)
        children[0].wait()
        print("nobody was interrupted")
    except KeyboardInterrupt as stop:
        print(stop, [child.poll() is None for child in children], flush=True)
        children[1].kill()
        os.kill(os.getpid(), int(sys.argv[1]))  # a second one is ignored
        print("done")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_an_interrupt_and_ends_the_children_of_the_group(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, str(int(number))],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline()
    process.send_signal(number)
    out = process.communicate(timeout=60)[0]  # no grandchild holds the pipe any more
    assert out.startswith(f"It was interrupted ({number.name}) [") and out.endswith(", True]\ndone\n")
    assert process.returncode == 0


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup."""
    code = (
        "import os, signal\nfrom beam_jobs.signals import stops_as_interrupts\n"
        "with stops_as_interrupts():\n    os.kill(os.getpid(), signal.SIGHUP)\nprint('goes on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert (done.returncode, done.stdout) == (0, "goes on\n")


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    with stops_as_interrupts():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before
