"""A process that is nothing but the engine, until its standard input closes or it is killed."""

from __future__ import annotations

import sys

from pipeline.assembly import build_runtime
from pipeline.settings import load_settings


def main() -> None:
    with build_runtime(load_settings()):
        sys.stdin.read()


if __name__ == "__main__":
    main()
