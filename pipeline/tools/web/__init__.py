"""Read one page of the public web for an agent, and nothing else that an address may lead to.

`addresses.py` decides, `opener.py` connects, `body.py` takes what arrives, `extract.py` has text
made of it in a child process, `reader.py` puts them in order. The heavy libraries load with the first page.
"""

from pipeline.tools.web.reader import GuardedReader

__all__ = ["GuardedReader"]
