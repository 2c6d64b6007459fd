"""Login: admission, the question at the limit, and the takeover."""
