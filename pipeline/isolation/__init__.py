"""Work on what strangers wrote, in a child process that can be killed.

`parent.py` starts, bounds and ends the child, `child.py` is what runs in it. What that protects from
and what it does not: docs/documents.md.
"""
