"""The report beside a dataset: a page that a person looks at, and the same numbers as JSON."""
