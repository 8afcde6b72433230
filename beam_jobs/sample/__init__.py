"""The embedded sample, drawn and written by code."""
