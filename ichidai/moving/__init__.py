"""Moving a store to another place: copying, comparing, and the switch."""
