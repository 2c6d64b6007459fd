"""Storage: one port of three verbs, and the engines behind it."""
