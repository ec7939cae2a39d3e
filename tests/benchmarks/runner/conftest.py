"""What pytest is not to look for tests in."""

# A script, for a process of its own, of people who have Ray.
collect_ignore = ["ray_cluster.py"]
