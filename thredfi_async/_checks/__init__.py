"""Checks of input before anything is sent; one module for each kind of value."""
