"""What liteflow costs, measured beside what one would use without it: `python -m benchmarks`."""
