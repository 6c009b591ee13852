"""redis-py through an upgrade: clients that work one request after the other, and want to be told when they must move.

usage: moving.py PORT CLIENTS
Prints "ready" when all are connected, works until a line comes on stdin, and then says how many requests were made,
how many failed, and how many clients are with another process than at first.
"""

import sys
import threading

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

PORT, CLIENTS = int(sys.argv[1]), int(sys.argv[2])


def run_id(client):
    return client.info("server")["run_id"]


class Worker(threading.Thread):
    def __init__(self, number):
        super().__init__(daemon=True)
        self.key = f"moving:py:{number}"
        self.client = redis.Redis(
            host="127.0.0.1",
            port=PORT,
            protocol=3,
            decode_responses=True,
            # Nothing is tried again: what fails is seen.
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=True, endpoint_type=None),
        )
        self.client.delete(self.key)
        self.first = run_id(self.client)
        self.requests = 0
        self.failures = []
        self.moved = False

    def run(self):
        while not stop.is_set():
            try:
                count = self.client.incr(self.key)
                self.requests += 1
                if count != self.requests:
                    self.failures.append(f"{self.key} is {count}, not {self.requests}")
                    self.requests = count
            except redis.RedisError as error:
                self.failures.append(repr(error))
            pause.wait(0.02)
        self.moved = run_id(self.client) != self.first


stop, pause = threading.Event(), threading.Event()
workers = [Worker(number) for number in range(CLIENTS)]
for worker in workers:
    worker.start()
print("ready", flush=True)
sys.stdin.readline()
stop.set()
for worker in workers:
    worker.join()
failures = [failure for worker in workers for failure in worker.failures]
requests = sum(worker.requests for worker in workers)
moved = sum(worker.moved for worker in workers)
print(f"requests={requests} failed={len(failures)} moved={moved} {failures[:3] if failures else ''}", flush=True)
