"""Faults of every kind, counted by those that took effect.

    python -m tests.chaos                 the short form, that CI runs
    python -m tests.chaos --long          500 faults and more, about 20 minutes
    python -m tests.chaos --long --write  and the table into docs/chaos.md
    python -m tests.chaos kills flips     those families alone

A fault counts when it took effect: a process was alive when it was killed, a byte was another one,
a disk was full, a file was opened. It is lost when something is lost by it: a result that differs,
a build that cannot go on, a traceback, a wait without an end, something left behind.
"""
