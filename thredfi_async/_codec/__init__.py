"""JSON bytes to models and back, and errors from refused requests."""
