"""Finished stages that people share through a folder or an object store."""
