"""Forms over the network file and over instruments, made from what the node says they may hold."""
