"""Celery with Redis as broker and for results: a worker, and a program that gives it work.

usage: celery_app.py PORT [PREFIX], where PREFIX comes before every key
The worker runs the same file as its application, with port and prefix in the environment.
"""

import os
import signal
import subprocess
import sys

from celery import Celery, chain, chord, group

PORT = os.environ["CLIENTS_PORT"] if "CLIENTS_PORT" in os.environ else sys.argv[1]
PREFIX = os.environ.get("CLIENTS_PREFIX", "".join(sys.argv[2:3]))
URL = f"redis://127.0.0.1:{PORT}/0"
app = Celery("celery_app", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=False,
    task_default_retry_delay=0,
    result_expires=60,
    worker_hijack_root_logger=False,
    broker_transport_options={"global_keyprefix": PREFIX} if PREFIX else {},
    result_backend_transport_options={"global_keyprefix": PREFIX} if PREFIX else {},
)


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=2)
def failing(self):
    raise self.retry(exc=ValueError("on purpose"), countdown=0.1)


def work():
    from check import expect, feature, main

    @feature
    def tasks():
        expect(add.delay(1, 2).get(timeout=15), 3)
        results = [add.delay(n, n) for n in range(50)]
        expect([result.get(timeout=15) for result in results], [2 * n for n in range(50)])

    @feature
    def priorities_and_countdown():
        expect(add.apply_async((1, 1), priority=9).get(timeout=15), 2)
        expect(add.apply_async((2, 2), countdown=0.5).get(timeout=15), 4)

    @feature
    def retries():
        result = failing.delay()
        try:
            result.get(timeout=15)
        except ValueError:
            pass
        expect(result.state, "FAILURE")

    @feature
    def groups_and_chains():
        expect(group(add.s(n, 1) for n in range(10))().get(timeout=15), list(range(1, 11)))
        expect(chain(add.s(1, 1), add.s(2), add.s(3))().get(timeout=15), 7)

    @feature
    def chords():
        expect(chord((add.s(n, n) for n in range(10)), total.s())().get(timeout=15), 90)

    @feature
    def asking_the_worker():
        expect(list(app.control.inspect(timeout=3).ping().values()), [{"ok": "pong"}])
        expect("celery_app.add" in list(app.control.inspect(timeout=3).registered().values())[0], True)

    @feature
    def forgetting_and_purging():
        result = add.delay(1, 1)
        result.get(timeout=15)
        result.forget()
        add.apply_async((1, 1), queue="nobody")
        with app.connection_for_write() as connection:
            expect(connection.default_channel.queue_purge("nobody"), 1)

    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "threads", "--concurrency", "4"]
    env = {**os.environ, "CLIENTS_PORT": PORT, "CLIENTS_PREFIX": PREFIX}
    worker = subprocess.Popen([*command, "--loglevel", "WARNING"], env=env)

    def end():
        worker.send_signal(signal.SIGTERM)
        worker.wait(10)

    main(end)


if __name__ == "__main__":
    # Tasks are known by the module's name, which is that of the application.
    from celery_app import work as begin

    begin()
