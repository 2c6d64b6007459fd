"""The suite's own keys, shared by all its hosts: key ring, key registry, certificate authorities."""
