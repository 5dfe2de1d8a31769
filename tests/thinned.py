"""Families of tests of which `make test` runs a few members and `make test-all` all."""

import pytest
from hypothesis import settings


def thinned(members, keep):
    """For ``parametrize``: the members of a family, of which all but ``keep``, evenly spread, are slow."""
    members = list(members)
    kept = {round(place * (len(members) - 1) / max(keep - 1, 1)) for place in range(keep)}
    return [
        pytest.param(
            *(member if isinstance(member, tuple) else (member,)), marks=() if index in kept else pytest.mark.slow
        )
        for index, member in enumerate(members)
    ]


def examples(count):
    """How many examples a test draws that needs another number than Hypothesis' own: ``count``, or its share."""
    return max(count * settings().max_examples // settings.get_profile("default").max_examples, 1)
