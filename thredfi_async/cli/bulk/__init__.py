"""`thredfi bulk`: archive what a file lists, and go on with it later."""
