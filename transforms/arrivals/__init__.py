"""What arrives in a stream: which window an arrival belongs to, and what storage says of the windows that are done."""
