"""Where a HEF runs: the one room that imports asyncssh."""
