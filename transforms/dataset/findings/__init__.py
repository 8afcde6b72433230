"""What the tuning service, or whoever trains, would object to in a dataset: found before a job is started."""
