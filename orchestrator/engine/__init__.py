"""Engines: where a toolchain runs. The one room that talks to Docker."""
