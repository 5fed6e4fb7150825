"""The cards of the main window, one module each."""
