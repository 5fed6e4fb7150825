"""The simulated laboratory: light, fibres, detectors and clocks; see docs/explanation/bench.md."""
