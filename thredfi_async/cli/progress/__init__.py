"""Shows how far long work has come, in one way for everything that runs long, and passes signals on."""
