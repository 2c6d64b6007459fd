"""The composition root: the only room that knows all the others, and joins them into apps, a command and pages."""
