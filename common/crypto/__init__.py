"""Cryptography: thin, named uses of well-kept libraries. No algorithm is implemented here."""
