"""Checking a store: whether books and what follows from them agree. See `docs/decisions/0048-checking-a-store.md`."""
