"""What a device proves: statements, challenges, and DPoP proofs."""
