"""Continuous normalizing flows: FFJORD's architectures on the data sets that people cite."""
