// Bee-Queue: jobs through a queue, on the older callback client of Node.
//
// usage: node_bee.js PORT PREFIX
"use strict";

const Queue = require("bee-queue");
const { assert, port, feature, until, main } = require("./check.js");

const options = { redis: { host: "127.0.0.1", port }, prefix: process.argv[3], activateDelayedJobs: true };
const queue = new Queue("bees", options);
queue.on("error", () => {});

feature("jobs and results", async () => {
  await queue.ready();
  queue.process(4, async (job) => job.data.n * 2);
  const results = [];
  queue.on("job succeeded", (_id, result) => results.push(result));
  const jobs = Array.from({ length: 20 }, (_, n) => queue.createJob({ n }).save());
  await Promise.all(jobs);
  await until(() => results.length === 20);
  assert.equal(results.reduce((sum, n) => sum + n, 0), 380);
});

feature("delayed jobs", async () => {
  const delayed = new Queue("later", options);
  delayed.on("error", () => {});
  let done = 0;
  delayed.process(async () => { done += 1; });
  await delayed.createJob({}).delayUntil(Date.now() + 200).save();
  await until(() => done === 1);
  await delayed.close();
});

feature("health", async () => {
  const health = await queue.checkHealth();
  assert.equal(health.succeeded, 20);
  await queue.close();
});

main();
