"""Shards that hold images beside their rows: lines of JSON whose images are places in the file, staged when the rows are read."""
