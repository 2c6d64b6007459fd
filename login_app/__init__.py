"""Login: the one way in, the question at the limit, and the takeover."""
