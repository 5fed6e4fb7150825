"""What a node says and accepts over HTTP: the values, and a client."""
