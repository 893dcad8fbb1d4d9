"""The process in which a stage works, so that it may die: `python -m internvid_pipeline.engine.workers.child FD`.

It speaks over a socket that it inherits. Messages to it: ("setup", plan, root, scratch, reduced), ("run", [(index, item)]),
("committed", item ids), ("stop",).
Messages from it: ("ready",), ("begin", index), ("finish", index, outcome), ("done",), ("error", class name, message). Messages are pickled:
both ends are our own processes, nothing from outside comes this way.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from internvid_pipeline.engine.workers.worker import StageWorker, failure, worker_context

_PARENT_POLL_S = 0.5


def _die_with_parent() -> None:
    """Ends this process when its parent is gone (killed with -9): an orphan would go on using the CPU or the GPU."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_POLL_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def serve(connection: Connection) -> None:
    """Answers messages until told to stop or the other end closes."""
    lock = threading.Lock()  # `begin` and `finish` come from one thread, but a stage may log from others

    def send(*message: Any) -> None:
        with lock:
            connection.send(message)

    worker: StageWorker | None = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            break
        if message[0] == "stop":
            break
        try:
            if message[0] == "setup":
                _, plan, root, scratch, reduced = message
                worker = StageWorker(plan.build(), worker_context(plan, root, scratch, reduced))
                send("ready")
            elif worker is not None and message[0] == "committed":
                worker.stage.committed(message[1])
            elif worker is not None:
                worker.run(message[1], lambda index: send("begin", index), lambda index, outcome: send("finish", index, outcome))
                send("done")
        except Exception as error:  # the machine's fault or the stage's: the host decides
            fail = failure(error)
            send("error", fail.error_class, fail.message, fail.detail)
    if worker is not None:
        worker.close()


def main() -> None:
    """Entry of the process."""
    faulthandler.enable()  # a segfault leaves its Python stack in stderr, which goes into the failure's detail
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends us
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # so is the end of a machine, which all its processes are told of
    _die_with_parent()
    connection = Connection(int(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(connection)


if __name__ == "__main__":
    main()
