"""Comparisons of the suite with its peers and with bare limits, measured beside each other; `python3 dev.py bench`."""
