"""Read one page of the public web for an agent, and nothing else that an address may lead to.

`addresses.py` decides, `opener.py` connects, `body.py` takes what arrives, `extract.py` makes text
of it, `reader.py` puts them in order. The heavy libraries load with the first page.
"""

from pipeline.tools.web.reader import GuardedReader

__all__ = ["GuardedReader"]
