"""Helper processes in which hostile pictures are decoded, and how many of them a machine bears."""
