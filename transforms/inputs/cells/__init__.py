"""Files of cells: how CSV is written, where its records end, and the rows that they are."""
