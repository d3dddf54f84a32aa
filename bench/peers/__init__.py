"""Tables of other projects, made here in their shape, for benchmarks to compare with."""
