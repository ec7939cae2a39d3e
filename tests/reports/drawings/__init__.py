"""Tests of what the figures show."""
