"""The accounts file: its accounts, which of them apply to a target and in which order, and how one is tested."""
