"""JSON bytes to models and back, and errors from refusing answers."""
