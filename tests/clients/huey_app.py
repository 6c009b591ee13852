"""Huey: tasks, schedules, retries, priorities, locks and results.

usage: huey_app.py PORT
"""

import time

from check import PORT, expect, feature, main

from huey import PriorityRedisHuey, RedisExpireHuey, RedisHuey
from huey.exceptions import TaskException

settings = dict(host="127.0.0.1", port=PORT)
huey = RedisHuey("matrix", **settings)
tries = []


@huey.task()
def add(a, b):
    return a + b


@huey.task(retries=2)
def failing():
    tries.append(1)
    raise ValueError("on purpose")


def consume(which):
    """One consumer's work, in this thread, until nothing is left."""
    while (task := which.dequeue()) is not None:
        which.execute(task)


def consumer(which, **options):
    made = which.create_consumer(workers=4, periodic=False, scheduler_interval=0.1, **options)
    made._set_signal_handlers = lambda: None
    made.start()
    return made


@feature
def tasks_with_a_consumer():
    running = consumer(huey, worker_type="thread")
    results = [add(n, n) for n in range(50)]
    expect([result.get(blocking=True, timeout=10) for result in results], [2 * n for n in range(50)])
    expect(add.schedule((1, 2), delay=0.5).get(blocking=True, timeout=10), 3)
    running.stop(graceful=True)


@feature
def retries():
    import logging

    logging.disable(logging.CRITICAL)
    result = failing()
    huey.blocking = False
    consume_until = time.monotonic() + 5
    while len(tries) < 3 and time.monotonic() < consume_until:
        if (task := huey.dequeue()) is not None:
            huey.execute(task)
    expect(len(tries), 3)
    try:
        result.get()
    except TaskException as error:
        expect("on purpose" in str(error), True)
    else:
        raise AssertionError("no failure was told")


@feature
def priorities():
    ordered = PriorityRedisHuey("ordered", **settings)
    done = []
    note = ordered.task()(done.append)
    for priority in (1, 9, 5):
        note(priority, priority=priority)
    consume(ordered)
    expect(done, [9, 5, 1])


@feature
def pipelines_and_groups():
    running = consumer(huey, worker_type="thread")
    pipe = add.s(1, 1).then(add, 2).then(add, 3)
    expect(huey.enqueue(pipe).get(blocking=True, timeout=10), [2, 4, 7])
    expect(add.map([(n, n) for n in range(5)]).get(blocking=True, timeout=10), [0, 2, 4, 6, 8])
    running.stop(graceful=True)


@feature
def locks_and_results():
    with huey.lock_task("report"):
        expect(huey.is_locked("report"), True)
    huey.put("kept", {"a": 1})
    expect(huey.get("kept"), {"a": 1})
    expiring = RedisExpireHuey("expiring", expire_time=60, **settings)
    expiring.put("kept", 1)
    expect(expiring.get("kept", peek=True), 1)


@feature
def flush():
    add(1, 1)
    expect(huey.pending_count(), 1)
    huey.storage.flush_all()
    expect(huey.pending_count(), 0)


main()
