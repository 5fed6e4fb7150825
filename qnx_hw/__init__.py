"""Quantum Nexus: the core. It knows no driver, no emulator and no screen."""

__version__ = "0.1.0"
