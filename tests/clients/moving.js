// node-redis through an upgrade: clients that work one request after the other, and want to be told when they must move.
//
// usage: moving.js PORT CLIENTS
// Prints "ready" when all are connected, works until a line comes on stdin, and then says how many requests were made,
// how many failed, and how many clients are with another process than at first.
"use strict";

const { createClient } = require("redis");

const [port, clients] = process.argv.slice(2).map(Number);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const runId = async (client) => /run_id:(\w+)/.exec(await client.info("server"))[1];
const failures = [];
let stopped = false;
let requests = 0;
let moved = 0;

async function connect(number) {
  const client = createClient({
    RESP: 3,
    // Nothing is tried again: what fails is seen.
    socket: { host: "127.0.0.1", port, reconnectStrategy: false },
    maintNotifications: "enabled",
    maintEndpointType: number % 10 ? "auto" : "none",
  });
  client.on("error", (error) => failures.push(`${number}: ${error}`));
  await client.connect();
  await client.del(`moving:js:${number}`);
  return { client, number, first: await runId(client) };
}

async function work({ client, number, first }) {
  for (let made = 1; !stopped; made += 1) {
    try {
      const count = await client.incr(`moving:js:${number}`);
      requests += 1;
      if (count !== made) failures.push(`${number} is at ${count}, not ${made}`);
    } catch (error) {
      failures.push(`${number}: ${error}`);
      return;
    }
    await pause(20);
  }
  if ((await runId(client)) !== first) moved += 1;
  client.destroy();
}

(async () => {
  const all = [];
  for (let number = 0; number < clients; number += 1) all.push(await connect(number));
  const working = all.map(work);
  console.log("ready");
  process.stdin.once("data", () => { stopped = true; });
  await Promise.all(working);
  console.log(`requests=${requests} failed=${failures.length} moved=${moved} ${failures.slice(0, 3).join("; ")}`);
  process.exit(0);
})();
