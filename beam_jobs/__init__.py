"""The jobs a person starts: options, the floor plan (graph.py) and the command line."""
