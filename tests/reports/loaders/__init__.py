"""Tests of the readers of result files."""
