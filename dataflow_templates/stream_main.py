"""The stream template's main file, which Dataflow's launcher runs. Everything else is in the package."""

import sys

from beam_jobs.template_main import run

if __name__ == "__main__":
    sys.exit(run("stream", sys.argv[1:]))
