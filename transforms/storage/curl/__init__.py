"""GETs through libcurl: one transfer (handle.py), the loop of many, what asks by it, and what answers say beside their bodies."""
