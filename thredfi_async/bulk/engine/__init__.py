"""The engine of a run: a scheduler that decides, and a pool of workers that does what it decides."""
