"""Dataflow's templates: what they are made of, and how they are launched."""
