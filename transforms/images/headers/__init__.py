"""What the bytes of an image file say, read by our own code."""
