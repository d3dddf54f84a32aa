"""Copies of tables of other projects, for comparison in benchmarks."""
