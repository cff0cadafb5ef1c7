"""Runs checks one after the other and prints a line for each; what the Python suites share."""

import os
import signal
import sys
import time
import traceback
import uuid

SECONDS_AT_MOST = 60


def bootstrap():
    """HOST:PORT of the broker: the first argument, or BOOTSTRAP of the environment."""
    return sys.argv[1] if len(sys.argv) > 1 else os.environ["BOOTSTRAP"]


def fresh(what):
    """A name that no other run has."""
    return f"{what}-{uuid.uuid4().hex[:8]}"


class Late(BaseException):
    """A check took too long; not an Exception, so that no client swallows it."""


def _late(*_):
    raise Late(f"not done after {SECONDS_AT_MOST} s")


def _where(error):
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "conformance/" in frame.filename and "site-packages" not in frame.filename]
    return f"{os.path.basename(own[-1].filename)}:{own[-1].lineno}" if own else "nowhere"


def run(checks):
    """Runs (name, function) in order, for at most a minute each; ends the process with 0 when all pass.

    Further arguments of the command line choose the checks whose names contain one of them.
    """
    wanted = sys.argv[2:]
    passed, failed = 0, 0
    signal.signal(signal.SIGALRM, _late)
    for name, body in checks:
        if wanted and not any(part in name for part in wanted):
            continue
        start = time.monotonic()
        signal.alarm(SECONDS_AT_MOST)
        complaint = None
        try:
            body()
        except (Exception, Late) as error:
            complaint = f"{type(error).__name__}: {error} ({_where(error)})".replace("\n", " ")
        finally:
            signal.alarm(0)
        took = int(1000 * (time.monotonic() - start))
        if complaint is None:
            passed += 1
            print(f"ok     {name} ({took} ms)", flush=True)
        else:
            failed += 1
            print(f"FAILED {name} ({took} ms): {complaint}", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    # Threads that a client left behind must not hold the process.
    os._exit(0 if failed == 0 and passed > 0 else 1)


def same(expected, found, what):
    assert expected == found, f"{what}: expected {expected!r}, found {found!r}"


def eventually(seconds, what, holds):
    """Waits until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.05)


def fails(with_error, body):
    """The body must fail with an error of that class; gives it."""
    try:
        body()
    except with_error as error:
        return error
    raise AssertionError(f"expected {with_error}, but nothing failed")
