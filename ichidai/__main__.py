"""`python -m ichidai …`: the command line, where the `ichidai` script is not on the path."""

from __future__ import annotations

from ichidai.entrance import found

if __name__ == "__main__":
    found("ichidai.cli").main()
