"use strict";
// Draws status.json once a second. Text from outside becomes text nodes only, never markup.

const byId = (id) => document.getElementById(id);
const SLOTS = 16384;
const SVG = "http:" + "//www.w3.org/2000/svg";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Draws anew only what has changed, so that selections and tool tips stay.
const drawn = new Map();
function draw(id, data, make) {
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  byId(id).replaceChildren(...make(data));
}

// Hues that lie far apart for neighbours, from the first on.
const HUES = [217, 158, 35, 280, 190, 340, 95, 255, 15, 140, 310, 60];
function colour(shard) {
  if (shard === null || shard === undefined) return "var(--soft)";
  return `hsl(${HUES[shard % HUES.length]} 68% var(--light))`;
}

function number(value) {
  if (value >= 1e9) return (value / 1e9).toFixed(1) + " G";
  if (value >= 1e6) return (value / 1e6).toFixed(value >= 1e7 ? 1 : 2) + " M";
  if (value >= 1e5) return (value / 1e3).toFixed(0) + " k";
  if (value >= 1e4) return (value / 1e3).toFixed(1) + " k";
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(1);
}

function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return (value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)) + " " + units[unit];
}

function duration(micros) {
  if (micros === null || micros === undefined) return "–";
  if (micros < 1000) return Math.round(micros) + " µs";
  if (micros < 1e6) return (micros / 1e3).toFixed(micros < 1e4 ? 1 : 0) + " ms";
  return (micros / 1e6).toFixed(1) + " s";
}

function uptime(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function clock(ms) {
  const at = new Date(ms), today = new Date().toDateString() === at.toDateString();
  const time = at.toLocaleTimeString("en-GB");
  return today ? time : at.toLocaleDateString("en-CA") + " " + time;
}

const when = (ms) => el("time", { datetime: new Date(ms).toISOString() }, clock(ms));

function setState(word, kind) {
  const pill = byId("state");
  if (pill.textContent !== word) pill.textContent = word;
  pill.className = "pill " + kind;
}

function spark(points, read) {
  const values = points.map((point) => read(point) || 0);
  if (values.length < 2) return svg("svg", { viewBox: "0 0 100 34", "aria-hidden": "true" });
  const top = Math.max(...values, 1), step = 100 / 119, from = 100 - step * (values.length - 1);
  const line = values.map((value, at) => `${(from + at * step).toFixed(2)} ${(33 - 31 * value / top).toFixed(2)}`).join("L");
  return svg("svg", { viewBox: "0 0 100 34", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "area", d: `M${from.toFixed(2)} 34L${line}L100 34Z` }),
    svg("path", { class: "line", d: "M" + line }));
}

function tile(what, value, unit, more, chart, bad) {
  return el("div", { class: bad ? "tile bad" : "tile" },
    el("div", { class: "what" }, what),
    el("div", { class: "value" }, value, unit ? el("small", {}, " " + unit) : null),
    el("div", { class: "more" }, more), chart);
}

function drawAbout(status) {
  const facts = [["version", status.version], ["up", uptime(status.uptime_seconds)],
    ["clients at", status.listen.join(", ")], ["workers", status.workers],
    ["nodes run", status.cluster.server_version], ["map", `${status.cluster.map_version}, ${Math.round(status.cluster.map_age_seconds)} s old`]];
  draw("about", facts, () => facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
}

function drawProblems(problems) {
  draw("problems", problems, () => problems.length
    ? problems.map((problem) => el("div", { class: "problem " + problem.severity, "data-node": problem.node || "" }, problem.text))
    : [el("div", { class: "problem ok" }, "All slots are served and every node answers.")]);
}

function drawTiles(status) {
  const { rates, latency, clients, chart, totals } = status;
  const all = latency.all || {}, own = latency.overhead || {};
  byId("tiles").replaceChildren(
    tile("Requests", number(rates.requests), "/s", `${bytes(rates.received_bytes)}/s in, ${bytes(rates.sent_bytes)}/s out`, spark(chart, (p) => p.requests)),
    tile("Latency p99", duration(all.p99_us), "", `p50 ${duration(all.p50_us)} · proxy's own p50 ${duration(own.p50_us)}`, spark(chart, (p) => p.p99_us)),
    tile("Error replies", number(rates.errors), "/s", `${number(totals.errors)} so far, ${number(totals.timeouts)} timeouts`, spark(chart, (p) => p.errors), rates.errors > 0),
    tile("Clients", number(clients.connected), "of " + number(clients.max), `${number(clients.in_flight)} in flight · ${clients.blocked} blocked · ${clients.subscribed} subscribed`),
    tile("Redirects", number(rates.redirects), "/s", `${number(totals.redirects)} so far · ${number(rates.retries)} retries/s`));
}

function hatch(id, one, other) {
  return svg("pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 8, height: 8, fill: other }), svg("rect", { width: 4, height: 8, fill: one }));
}

function drawSlots(status) {
  const sick = new Set(status.nodes.filter((node) => node.health === "bad").map((node) => node.addr));
  draw("slots", [status.slots, status.migrations, [...sick]], () => {
    const width = (range) => range.last - range.first + 1;
    const bar = svg("svg", { viewBox: `0 0 ${SLOTS} 44`, preserveAspectRatio: "none", role: "img", "aria-label": "Owners of the slots" });
    bar.append(svg("defs", {}));
    for (const range of status.slots) {
      const place = { x: range.first, width: width(range), y: 0, height: 44, "data-first": range.first, "data-last": range.last };
      const owner = range.node || "nobody";
      const rect = range.node ? svg("rect", { ...place, style: "fill:" + colour(range.shard) }) : svg("rect", { ...place, class: "gap" });
      rect.setAttribute("data-node", owner);
      rect.append(svg("title", {}, `${range.first}–${range.last}: ${owner}`));
      bar.append(rect);
      if (sick.has(range.node)) bar.append(svg("rect", { class: "sick", x: range.first, y: 0, width: width(range), height: 44 }));
    }
    for (const move of status.migrations) {
      const wide = Math.max(width(move), 60);
      const rect = svg("rect", { class: "moving", "data-moving": move.first, x: Math.min(move.first, SLOTS - wide), y: 0, width: wide, height: 44 });
      rect.append(svg("title", {}, `${move.first}–${move.last}: on the move from ${move.from} to ${move.to}`));
      bar.append(rect, svg("rect", { class: "edge", x: Math.min(move.first, SLOTS - wide), y: 0, width: wide, height: 5 }));
    }
    // In the units of the bar, one of which is a small part of a pixel.
    const scale = SLOTS / Math.max(byId("slots").clientWidth, 1);
    const defs = bar.firstChild;
    for (const pattern of [hatch("gap", "var(--gap)", "var(--bad-soft)"), hatch("moving", "var(--text)", "transparent")]) {
      pattern.setAttribute("patternTransform", `scale(${scale.toFixed(2)} 1) rotate(45)`);
      defs.append(pattern);
    }
    return [bar];
  });
  const gaps = SLOTS - status.cluster.slots_covered;
  const moving = status.migrations.reduce((sum, move) => sum + move.last - move.first + 1, 0);
  byId("slots-note").textContent = `${status.cluster.slots_covered} of ${SLOTS} owned` +
    (gaps ? `, ${gaps} without an owner` : "") + (moving ? `, ${moving} on the move` : "");
  const owners = status.nodes.filter((node) => node.slots > 0).map((node) => [node.shard, node.addr, node.slots]);
  draw("legend", [owners, gaps], () => {
    const items = owners.map(([shard, addr, slots]) => el("li", {}, el("span", { class: "chip", style: "background:" + colour(shard) }),
      addr, el("span", { class: "count" }, `${slots} · ${(slots * 100 / SLOTS).toFixed(1)} %`)));
    if (gaps) items.push(el("li", {}, el("span", { class: "chip gap" }), "nobody", el("span", { class: "count" }, String(gaps))));
    return items;
  });
  draw("migrations", status.migrations, (moves) => moves.slice(0, 20).map((move) =>
    el("li", {}, el("span", {}, `Slot${move.first === move.last ? " " + move.first : `s ${move.first}–${move.last}`} on the move: ${move.from} → ${move.to}`))));
}

function nodeRow(node) {
  const cell = (label, text, kind) => el("td", { class: kind || "n", "data-label": label }, text);
  const idle = node.connections === 0 && node.requests_per_second === 0 ? " idle" : "";
  const late = node.reason && node.reason.startsWith("is slow") ? "n hot" : "n";
  const last = node.last_error;
  return el("tr", { class: `${node.role} ${node.health === "ok" ? "" : node.health}`, "data-node": node.addr, style: "--shard:" + colour(node.shard) },
    el("td", {}, node.addr, node.reason && !node.reason.startsWith("had an error") ? el("span", { class: "reason" }, node.reason) : null),
    cell("role", node.role + (node.role === "left" ? "" : !node.online ? ", offline" : !node.linked ? ", cut off" : ""), "role"),
    cell("slots", node.slots ? number(node.slots) : "–", "n" + idle),
    cell("conns", number(node.connections), "n" + idle),
    cell("in flight", number(node.in_flight) + (node.queue_bytes > 1e5 ? ` (${bytes(node.queue_bytes)})` : ""), "n" + idle),
    cell("ops/s", number(node.requests_per_second), "n" + idle),
    cell("p50", duration(node.latency.p50_us), "n" + idle),
    cell("p99", duration(node.latency.p99_us), late + idle),
    cell("errors/s", number(node.errors_per_second), (node.errors_per_second > 0 ? "n hot" : "n") + idle),
    cell("redirects", number(node.redirects), "n" + idle),
    last ? el("td", { class: "error", "data-label": "last error" }, when(last.at_ms), " " + last.text) : el("td", { class: "error" }));
}

function counts(list, nothing) {
  const shown = list.slice(0, 12), most = Math.max(...shown.map((item) => item.per_second), 0.1);
  if (!shown.length) return [el("tr", {}, el("td", { class: "none" }, nothing))];
  return shown.map((item) => el("tr", {},
    el("td", {}, item.name, el("div", { class: "bar", style: `width:${(item.per_second * 100 / most).toFixed(1)}%` })),
    el("td", {}, number(item.per_second) + " /s"), el("td", { class: "note" }, number(item.total))));
}

const GRAVE = { lost: "bad", offline: "bad", left: "warn", failover: "warn", "cut off": "warn" };

function show(status) {
  const kinds = { ready: "good", draining: "warn", starting: "warn" };
  setState(status.state, kinds[status.state] || "");
  document.body.classList.remove("stale");
  document.title = (status.problems.length ? "● " : "") + "slotway · " + status.listen[0];
  drawAbout(status);
  drawProblems(status.problems);
  drawTiles(status);
  drawSlots(status);
  document.querySelector("#nodes tbody").replaceChildren(...status.nodes.map(nodeRow));
  draw("changes", status.changes, (list) => list.length
    ? list.map((change) => el("li", {}, when(change.at_ms), el("span", { class: GRAVE[change.kind] || "" }, change.text)))
    : [el("li", { class: "none" }, "None since this page's proxy began.")]);
  document.querySelector("#commands tbody").replaceChildren(...counts(status.commands, "None yet."));
  document.querySelector("#errors tbody").replaceChildren(...counts(status.errors, "None yet."));
  draw("slowlog", status.slowlog, (list) => list.length
    ? list.map((slow) => el("li", {}, when(slow.at_ms), el("span", {}, el("b", {}, duration(slow.took_us)), ` ${slow.command} `, el("span", { class: "note" }, slow.client))))
    : [el("li", { class: "none" }, "Nothing slow.")]);
  byId("clock").textContent = clock(status.now_ms);
}

let failures = 0;
async function turn() {
  try {
    const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error("the answer was " + answer.status);
    show(await answer.json());
    failures = 0;
  } catch (error) {
    failures += 1;
    // One answer may be lost; two are a reason not to trust what is shown.
    if (failures > 1) { setState("no answer", "bad"); document.body.classList.add("stale"); }
  }
}

// One question at a time, and none while nobody looks.
async function live() {
  for (;;) {
    const begun = Date.now();
    if (!document.hidden) await turn();
    await new Promise((done) => setTimeout(done, Math.max(0, 1000 - (Date.now() - begun))));
  }
}
live();
