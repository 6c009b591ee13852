// redlock for Node: locks by SET NX and scripts, over ioredis.
//
// usage: node_redlock.js PORT
"use strict";

const { assert, port, feature, main } = require("./check.js");
const { Redis } = require("ioredis");
const Redlock = require("redlock");

const client = new Redis({ host: "127.0.0.1", port });
client.on("error", () => {});
const redlock = new Redlock([client], { retryCount: 3, retryDelay: 50 });

feature("lock, extend, unlock", async () => {
  const lock = await redlock.lock("lock:a", 2000);
  await assert.rejects(redlock.lock("lock:a", 2000), /LockError|attempts/);
  await lock.extend(3000);
  await lock.unlock();
  await (await redlock.lock("lock:a", 2000)).unlock();
});

feature("many locks at once", async () => {
  const locks = await Promise.all(Array.from({ length: 50 }, (_, n) => redlock.lock(`lock:${n}`, 5000)));
  await Promise.all(locks.map((lock) => lock.unlock()));
  assert.equal(await client.dbsize(), 0);
});

feature("one lock on several keys", async () => {
  const lock = await redlock.lock(["{lock}:a", "{lock}:b"], 2000);
  await assert.rejects(redlock.lock("{lock}:b", 2000));
  await lock.unlock();
});

main();
