"""Tests of the report. Every number in their result files is invented, and round."""
