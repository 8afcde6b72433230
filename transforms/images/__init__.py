"""Images of rows: how they are found, looked at, rewritten and published."""
