"""How this package says no.

A message has three parts: what was received, what would have been accepted, what to do next.
"""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Choice = TypeVar("Choice")


class InputError(ValueError):
    """The caller's input cannot be used; the message says what to change."""


def choose(kind: str, name: str, table: Mapping[str, Choice]) -> Choice:
    """Look `name` up in `table`, or say what could have been asked for.

    >>> choose("loss", "l22", {"l2": 1, "l1": 2})
    Traceback (most recent call last):
    noisepair.errors.InputError: Unknown loss 'l22'. Available: l1, l2. Did you mean 'l2'?
    """
    if name in table:
        return table[name]
    message = f"Unknown {kind} {name!r}. Available: {', '.join(sorted(table))}."
    near = difflib.get_close_matches(name, table, n=1)
    raise InputError(f"{message} Did you mean {near[0]!r}?" if near else message)
