"""Key delivery: keys to applications over TLS, as ETSI GS QKD 014 has it."""
