"""Finding instruments and taking them into the network."""
