// What the Node programs of the matrix share: features that run one after another, each with its line of result.
//
// Each prints `ok name` or `fail name: reason`; one that hangs is given up. The exit code is 1 if any failed.
"use strict";

const assert = require("node:assert/strict");

const port = Number(process.argv[2]);
// How long one feature may take, in milliseconds.
const limit = 20_000;
const features = [];

function feature(name, body) {
  features.push([name, body]);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function until(condition) {
  const deadline = Date.now() + limit / 2;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${condition}`);
    await sleep(20);
  }
}

// Without this an error that nobody waits for would end the program in the middle of a feature.
let stray = null;
process.on("unhandledRejection", (error) => (stray ??= error));

async function main() {
  let failed = false;
  for (const [name, body] of features) {
    stray = null;
    try {
      await within(limit, Promise.resolve().then(body));
      if (stray) throw stray;
      console.log(`ok ${name}`);
    } catch (error) {
      failed = true;
      const text = `${error?.name}: ${error?.message || error?.code || error}`.replace(/\s+/g, " ").slice(0, 300);
      console.log(`fail ${name}: ${text}`);
      if (process.env.CLIENTS_TRACE) console.log(error?.stack);
    }
  }
  process.exit(failed ? 1 : 0);
}

module.exports = { assert, port, feature, sleep, within, until, main };
