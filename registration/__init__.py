"""Accounts: registering people, checking passwords, issuing pairing tokens."""
