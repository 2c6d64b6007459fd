"""Joining the packages: one store, one key ring, and each package's dependencies."""
