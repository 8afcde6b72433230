"""Cloud Storage as a store: connections, reads, composing, checks of buckets."""
