"""What an input is and how it becomes blocks and rows: patterns, packing, cutting, and a file a format."""
