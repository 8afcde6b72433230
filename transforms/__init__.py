"""The rooms of the pipeline: one PTransform family a file, its pure twin in transforms.core."""
