"""Facts that the host, the worker and the emulator share: each stands here once.

Python 3.8 and the standard library only.
"""
