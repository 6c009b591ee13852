// BullMQ: queues with workers, delays, retries, flows and events.
//
// usage: node_bullmq.js PORT [PREFIX], where PREFIX is the hash tag that its documentation asks for with a cluster
"use strict";

const { Queue, Worker, QueueEvents, FlowProducer } = require("bullmq");
const { assert, port, feature, until, main } = require("./check.js");

const prefix = process.argv[3];
const options = { connection: { host: "127.0.0.1", port }, ...(prefix ? { prefix } : {}) };
const open = [];
const keep = (thing) => (thing.on?.("error", () => {}), open.push(thing), thing);

feature("jobs", async () => {
  const queue = keep(new Queue("plain", options));
  const done = [];
  keep(new Worker("plain", async (job) => done.push(job.data.n), { ...options, concurrency: 4 }));
  await queue.addBulk(Array.from({ length: 50 }, (_, n) => ({ name: "job", data: { n } })));
  await until(() => done.length === 50);
  assert.equal(new Set(done).size, 50);
  await until(async () => (await queue.getCompletedCount()) === 50);
});

feature("delayed and prioritized jobs", async () => {
  const queue = keep(new Queue("delayed", options));
  await queue.add("late", {}, { delay: 2000 });
  await queue.add("low", {}, { priority: 10 });
  await queue.add("high", {}, { priority: 1 });
  const done = [];
  keep(new Worker("delayed", async (job) => done.push(job.name), options));
  await until(() => done.length === 3);
  assert.deepEqual(done, ["high", "low", "late"]);
});

feature("retries and failures", async () => {
  const queue = keep(new Queue("failing", options));
  let tries = 0;
  keep(new Worker("failing", async () => { tries += 1; throw new Error("on purpose"); }, options));
  const job = await queue.add("job", {}, { attempts: 3, backoff: { type: "fixed", delay: 50 } });
  await until(async () => (await job.getState()) === "failed");
  assert.equal(tries, 3);
});

feature("waiting for a result", async () => {
  const queue = keep(new Queue("results", options));
  const events = keep(new QueueEvents("results", options));
  await events.waitUntilReady();
  keep(new Worker("results", async (job) => job.data.n * 2, options));
  const job = await queue.add("job", { n: 21 });
  assert.equal(await job.waitUntilFinished(events, 10_000), 42);
});

feature("repeated jobs", async () => {
  const queue = keep(new Queue("repeated", options));
  let runs = 0;
  keep(new Worker("repeated", async () => { runs += 1; }, options));
  await queue.upsertJobScheduler("often", { every: 100 });
  await until(() => runs >= 3);
  assert.equal(await queue.removeJobScheduler("often"), true);
});

feature("flows", async () => {
  const flow = keep(new FlowProducer(options));
  const order = [];
  keep(new Worker("flow", async (job) => order.push(job.name), options));
  await flow.add({ name: "parent", queueName: "flow", children: [{ name: "child", queueName: "flow", data: {} }] });
  await until(() => order.length === 2);
  assert.deepEqual(order, ["child", "parent"]);
});

feature("pause, drain, obliterate", async () => {
  const queue = keep(new Queue("emptied", options));
  await queue.pause();
  await queue.addBulk(Array.from({ length: 20 }, (_, n) => ({ name: "job", data: { n } })));
  assert.equal(await queue.count(), 20);
  await queue.drain();
  assert.equal(await queue.count(), 0);
  await queue.obliterate({ force: true });
});

feature("closing", async () => {
  await Promise.all(open.map((thing) => thing.close()));
});

main();
