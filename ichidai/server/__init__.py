"""Serving: the process that listens, its workers, and the process of the event streams beside it."""
