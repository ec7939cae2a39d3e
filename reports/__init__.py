"""The published report: a static site made from files of measurements, and from nothing else.

Data flows one way::

    loaders -> records -> summaries -> figures -> pages

A loader turns asv's result files, pytest-benchmark's, or trainings into records; git, where there
is one, tells subjects and tags of the commits. Summaries set each measurement beside its base;
figures hold what is drawn, once, for both renderers; pages write it down. The package imports
neither ``symadj`` nor ``benchmarks``: results of any version, from any machine, can be shown by
today's report.
"""
