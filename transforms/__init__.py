"""What a job is made of, in wings: imports go down from steps over images, inputs and dataset to storage, examples and core."""
