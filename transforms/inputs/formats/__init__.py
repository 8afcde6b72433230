"""A file for each meaning of rows: what one says -> an example, or columns. The registry has a line for each."""
