"""The steps of the job, as PTransforms: all that knows Beam, but for storage's own two files."""
