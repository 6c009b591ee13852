"""What the Python programs of the matrix share: features that run one after another, each with its line of result.

A program marks its features and calls `main()`; the name of a feature is that of its function. Each prints
`ok name` or `fail name: reason`; one that hangs is given up. The exit code is 1 if any failed.
"""

import asyncio
import inspect
import os
import signal
import sys

PORT = int(sys.argv[1])
URL = f"redis://127.0.0.1:{PORT}"
# How long one feature may take, in seconds.
LIMIT = 20

features = []


def feature(body):
    features.append(body)
    return body


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"expected {wanted!r}, found {found!r}")


def expect_error(kind, word, call, *args, **kwargs):
    """The call must fail with such an error, whose text holds the word."""
    try:
        found = call(*args, **kwargs)
    except kind as error:
        if word not in str(error):
            raise AssertionError(f"expected an error with {word!r}, found {error!r}") from None
    else:
        raise AssertionError(f"expected an error with {word!r}, found {found!r}")


def late(_signal, _frame):
    raise TimeoutError(f"not done after {LIMIT} s")


def reason(error):
    """The error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def run_one(body):
    signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        asyncio.run(body()) if inspect.iscoroutinefunction(body) else body()
    finally:
        signal.alarm(0)


def main(end=lambda: None):
    """Runs the features, then `end`, and leaves with the exit code."""
    failed = False
    for body in features:
        name = body.__name__.strip("_").replace("_", " ")
        try:
            run_one(body)
        except Exception as error:
            failed = True
            print(f"fail {name}: {reason(error)}", flush=True)
            if os.environ.get("CLIENTS_TRACE"):
                import traceback

                traceback.print_exc()
        else:
            print(f"ok {name}", flush=True)
    end()
    sys.stdout.flush()
    # Threads and loops of the libraries must not keep the program.
    os._exit(int(failed))
