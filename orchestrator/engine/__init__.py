"""Where a toolchain runs: the one room that imports the Docker SDK."""
