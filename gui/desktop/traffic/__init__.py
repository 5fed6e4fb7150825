"""Key in stock and the tunnels that draw on it."""
