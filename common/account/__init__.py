"""The account: its book, the rules about its sessions and devices, and the transactions that change it."""
