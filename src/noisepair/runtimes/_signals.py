"""The stack that signals run on, kept through the loading of OpenVINO's CPU plugin.

A thread may have a stack of its own for signals (sigaltstack(2)), and Python's handler of Ctrl-C
runs on it. The plugin brings one to the thread that loads it, so that the large registers of AMX
find room in it:

    loaded      found = the stack of this thread;  the stack becomes the plugin's
    unloaded    where it is the plugin's still, it becomes what was found;  the plugin's is unmapped

Two that go in the order in which they came leave the stack of the first, unmapped; one that another
thread unloads leaves its own. The next Ctrl-C then ends in a segmentation fault. So what was there
is put back at once: the plugin finds another stack than its own when it goes, and leaves it alone.
Nothing is lost: AMX asks for a *large* stack, or none, and Python's own, faulthandler's, is large.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Stack(ctypes.Structure):
    """stack_t, as Linux has it."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """This thread's signals run on the same stack afterwards; elsewhere than on Linux nothing."""
    if sys.platform != "linux":
        yield
        return
    change = ctypes.CDLL(None).sigaltstack
    before = Stack()
    known = change(None, ctypes.byref(before)) == 0
    try:
        yield
    finally:
        if known:
            # Refused where AMX is on and the old one too small: then the plugin's stays.
            change(ctypes.byref(before), None)
