"""The edge: HTTP in, HTTP out. Statuses, texts, bodies and guards live here, and no rule of the suite."""
