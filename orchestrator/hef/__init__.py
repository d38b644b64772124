"""HEF files: read, verify, compare and write, with no Hailo software."""
