"""A file for each meaning of rows: what one says -> an example. The registry has a line for each."""
