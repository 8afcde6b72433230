"""Formats of large JSON files whose lists are joined, by one worker in bounded memory: a file each."""
