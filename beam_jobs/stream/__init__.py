"""`tuneset stream`: options, the graph of a window, and the rounds in which they are worked."""
