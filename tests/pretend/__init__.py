"""Systems that this machine is not, for our own code: see ``pretend_windows.py``."""
