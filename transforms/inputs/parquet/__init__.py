"""Parquet as input."""
