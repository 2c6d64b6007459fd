"""Request bodies and answers that several packages share."""
