"""The commands of `qnx`, one module each."""
