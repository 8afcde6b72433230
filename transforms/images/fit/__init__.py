"""Fitting one picture to a byte limit: bytes in, bytes out."""
