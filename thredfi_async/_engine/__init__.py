"""Runs one call: its steps, its deadline, its turns."""
