"""The pure twins of the rooms: no apache_beam, no network."""

VERSION = "0.1.0"  # of Tuneset; setup.py reads it here, and it is part of every block's key
