"""RQ: jobs through queues, with workers, schedules, retries and dependencies.

usage: rq_app.py PORT
"""

import datetime
import operator
import time

from check import PORT, expect, feature, main

from redis import Redis
from rq import Queue, Retry, SimpleWorker, Worker
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry

client = Redis(host="127.0.0.1", port=PORT)
queue = Queue("default", connection=client)


def work(*queues, **options):
    SimpleWorker(list(queues) or [queue], connection=client).work(burst=True, logging_level="ERROR", **options)


@feature
def jobs():
    jobs = [queue.enqueue(max, n, 5) for n in range(10)]
    expect(queue.count, 10)
    work()
    expect([job.return_value() for job in jobs], [max(n, 5) for n in range(10)])
    expect(Job.fetch(jobs[0].id, connection=client).get_status().value, "finished")
    expect(len(FinishedJobRegistry(queue=queue)), 10)


@feature
def many_at_once():
    prepared = [Queue.prepare_data(max, (n, 3), job_id=f"many-{n}") for n in range(10)]
    queue.enqueue_many(prepared)
    work()
    expect(len(Job.fetch_many([f"many-{n}" for n in range(10)], connection=client)), 10)
    expect(Job.fetch("many-7", connection=client).return_value(), 7)


@feature
def failures_and_retries():
    job = queue.enqueue(operator.truediv, 1, 0, retry=Retry(max=2))
    work()
    expect(job.get_status(refresh=True).value, "failed")
    expect(len(FailedJobRegistry(queue=queue)), 1)
    FailedJobRegistry(queue=queue).requeue(job)
    expect(queue.count, 1)
    work()
    expect(job.get_status(refresh=True).value, "failed")


@feature
def emptying_a_queue():
    queue.enqueue(max, 1, 2)
    queue.empty()
    expect(queue.count, 0)
    queue.delete(delete_jobs=False)


@feature
def dependencies():
    first = queue.enqueue(max, 1, 2)
    second = queue.enqueue(max, 3, 4, depends_on=first)
    expect(second.get_status(refresh=True).value, "deferred")
    work()
    expect(second.return_value(), 4)


@feature
def schedules():
    job = queue.enqueue_in(datetime.timedelta(seconds=1), max, 5, 6)
    expect(queue.scheduled_job_registry.count, 1)
    time.sleep(1.1)
    work(with_scheduler=True)
    deadline = time.monotonic() + 10
    while not job.is_finished and time.monotonic() < deadline:
        work(with_scheduler=True)
        job.refresh()
        time.sleep(0.2)
    expect(job.return_value(), 6)


@feature
def several_queues():
    high = Queue("high", connection=client)
    low = Queue("low", connection=client)
    second, first = low.enqueue(max, 1, 2), high.enqueue(max, 3, 4)
    work(high, low)
    first.refresh()
    second.refresh()
    expect(first.ended_at <= second.ended_at, True)
    expect({q.name for q in Queue.all(connection=client)} >= {"default", "high", "low"}, True)


@feature
def worker_that_forks():
    job = queue.enqueue(max, 8, 9)
    Worker([queue], connection=client).work(burst=True, logging_level="ERROR")
    expect(job.return_value(), 9)
    expect(Worker.count(connection=client), 0)


main()
