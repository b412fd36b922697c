"""Benchmarks: what a push costs the machine that pushes. Figures, never verdicts; no test depends on them."""
