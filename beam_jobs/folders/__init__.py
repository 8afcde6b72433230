"""What stands in a folder that a command is given: whose images they are, and what a sealed dataset says of itself."""
