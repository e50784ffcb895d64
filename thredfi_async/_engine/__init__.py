"""The course of one call: its order, its time, its turns."""
