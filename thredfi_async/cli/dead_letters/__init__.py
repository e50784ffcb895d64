"""The commands of `thredfi dead-letters`."""
