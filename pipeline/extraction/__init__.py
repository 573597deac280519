"""From a page's HTML to its text, in a child process: `tools/web/extract.py` asks it."""
