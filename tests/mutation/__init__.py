"""Mutation testing of the library's core: wherever the code is broken, a test should fail."""
