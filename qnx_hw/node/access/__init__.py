"""Who asks: users, sessions, tokens, limits, and the audit of what they changed."""
