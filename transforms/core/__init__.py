"""The floor that every wing stands on: records, reasons, counters, limits, and strict JSON. No Beam, no network."""

VERSION = "0.3.0"  # of Tuneset; setup.py reads it here, and it is part of every block's key
