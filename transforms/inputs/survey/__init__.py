"""A look before the work: `sample.py` takes some rows of each input, `checks.py` says what looks wrong about them.

`nothing_found.py` says what lies where no input was found, `layouts.py` what to do with folders as other tools write them.
"""
