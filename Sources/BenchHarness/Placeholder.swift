// BenchHarness
