"""What holds for every test: property tests are not timed, the machine is shared.

`quick` is `make check`'s profile: fewer examples, the same ones each time. `make test` looks wider.
"""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=15, derandomize=True, database=None)
settings.load_profile("untimed")
