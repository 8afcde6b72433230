"""A look before the work: `sample.py` takes some rows of each input, `checks.py` says what looks wrong about them."""
