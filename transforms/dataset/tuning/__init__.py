"""A sealed dataset beside the tuning service: what it may refuse, what to do next, and what a job dropped."""
