"""What compiles: the suite that the user imports, and the emulator."""
