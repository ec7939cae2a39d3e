"""asv's benchmarks: one class per problem."""
