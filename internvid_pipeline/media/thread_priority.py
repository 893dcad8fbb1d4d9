"""Encoders that make themselves more important than everything else on the machine, and are not let."""

import contextlib
import os
from collections.abc import Iterator

import av


def open_encoder(context: av.CodecContext) -> None:
    """Opens it without a change of priority.

    SVT-AV1 (4.2, `svt_create_thread`), where root runs it, as in most containers, gives its threads and the thread that opens it the
    highest real-time priority, SCHED_FIFO 99, for good; processes that are started later inherit it. One such clip, and every worker of
    the machine waits until this process sleeps.
    """
    with _same_priority():
        context.open()


@contextlib.contextmanager
def _same_priority() -> Iterator[None]:
    if not hasattr(os, "sched_getscheduler"):  # no Linux
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                if os.sched_getscheduler(int(thread)) != policy:
                    os.sched_setscheduler(int(thread), policy, parameters)
