"""What is sent to a device for a session: Python 3.9, standard library, nothing installed there.

The modules travel as text and are loaded in memory in the order of :data:`PARTS`; on this
side they are ordinary modules, so that tests reach them.
"""

PARTS = ("files", "link", "store", "transfer", "work", "facts", "agent")
