"""Say, before the server starts, when its port cannot be used and what to do about it."""

from __future__ import annotations

import errno
import os
import socket
import sys

ADDRESS_SETTING = "STREAMLIT_SERVER_ADDRESS"


def main() -> None:
    if problem := problem_with(os.environ.get(ADDRESS_SETTING, "127.0.0.1"), sys.argv[1]):
        sys.exit(problem)


def problem_with(address: str, port_text: str) -> str:
    """One sentence a person can act on, or an empty string when the port is free."""
    if not port_text.isdecimal() or not 0 < int(port_text) < 65_536:
        return f"PORT={port_text} is not a port. Give a number from 1 to 65535: make app PORT=8502"
    port = int(port_text)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.create_server((address, port), family=family):
            return ""
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65_535 else 8501
            return (
                f"Port {port} is in use, perhaps by another Gantry. "
                f"Stop that program, or choose another port: make app PORT={other}"
            )
        return f"Cannot listen on {address}:{port} ({exc.strerror}). Choose another: make app PORT=8502"


if __name__ == "__main__":
    main()
