"""The exit status of every command."""

DONE = 0  # sealed, listed, launched; with --no_wait: submitted
FAILED = 1  # the same command goes on
WRONG = 2  # options, or a folder that holds something else; nothing was touched
