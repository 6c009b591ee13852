//! A node that lies: what it sends is drawn by lot from everything that a reply must not be, and costs no memory and
//! nobody else's replies. In a process of its own, so that its memory can be measured.
//!
//! `SLOTWAY_SEEDS` says how many seeds there are; each has [`CASES`] lies.
#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use slotway::demo::embedded::{Random, Script};

use proxy::{bulk, ms, pass, proxied};
use world::{World, seeds};

#[expect(dead_code, reason = "what other scenarios need besides")]
#[path = "sim/client.rs"]
mod client;
#[expect(dead_code, reason = "what other scenarios need besides")]
#[path = "sim/net.rs"]
mod net;
#[expect(dead_code, reason = "what other scenarios need besides")]
#[path = "sim/proxy.rs"]
mod proxy;
#[path = "sim/world.rs"]
mod world;

/// Lies of each seed.
const CASES: usize = 50;
/// What all of them together may cost.
const MEMORY: usize = 16 << 20;

/// Whole replies.
const TRUE: [&str; 8] =
    ["+OK\r\n", ":1\r\n", "$3\r\nfoo\r\n", "-ERR x\r\n", "*0\r\n", "*2\r\n:1\r\n$-1\r\n", "$-1\r\n", "$0\r\n\r\n"];
/// What begins something that never comes, or is none.
const FALSE: [&str; 22] = [
    "*-2\r\n",
    "$-2\r\n",
    "$9223372036854775808\r\n",
    "$9223372036854775807\r\n",
    "*9223372036854775807\r\n",
    "*18446744073709551616\r\n",
    "$1000000000\r\n",
    "*1000000000\r\n",
    "*2\r\n>2\r\n+message\r\n+x\r\n:1\r\n",
    ">3\r\n+message\r\n+a\r\n+b\r\n",
    "%1\r\n+a\r\n",
    "|1\r\n+a\r\n+b\r\n",
    "_\r\n",
    "#t\r\n",
    "$3\r\nfoobar\r\n",
    "$1\r\n",
    ":\r\n",
    ":99999999999999999999\r\n",
    "\r\n",
    "\n",
    "\0\0\0\0",
    "HTTP/1.1 200 OK\r\n\r\n",
];

/// Something that is no answer, or more or less than one.
fn lie(random: &mut Random) -> Vec<u8> {
    let pick = |random: &mut Random, from: &[&str]| from[random.below(from.len() as u64) as usize].as_bytes().to_vec();
    match random.below(8) {
        0 => Vec::new(),
        1 => [pick(random, &TRUE), pick(random, &TRUE)].concat(),
        2 => [pick(random, &TRUE), pick(random, &FALSE)].concat(),
        3 => "*1\r\n".repeat(random.below(1_000_000) as usize).into_bytes(),
        4 => (0..random.below(40)).map(|_| random.below(256) as u8).collect(),
        5 => {
            let mut bytes = [pick(random, &TRUE), pick(random, &TRUE)].concat();
            bytes.truncate(random.below(bytes.len() as u64) as usize);
            bytes
        }
        _ => pick(random, &FALSE),
    }
}

async fn tell_lies(mut world: World) {
    let [liar, honest, _] = world.cluster.primaries()[..] else { panic!("three primaries") };
    let (key, neighbour, far) = (world.key_of(liar, 0), world.key_of(liar, 1), world.key_of(honest, 0));
    let (mut client, mut next, mut other) = (world.client().await, world.client().await, world.client().await);
    client.say(&format!("MSET {key} mine {neighbour} near {far} far")).await;
    for _ in 0..CASES {
        let lie = lie(&mut world.random);
        let shown = lie[..lie.len().min(60)].escape_ascii().to_string();
        let whole = TRUE.iter().map(|reply| reply.as_bytes()).find(|reply| lie.starts_with(reply));
        let script = if world.random.one_in(3) { Script::refuse(lie) } else { Script::replace(lie) };
        world.cluster.script(liar, script.on("GET"));
        client.tell(&format!("GET {key}")).await;
        assert_eq!(other.say(&format!("GET {far}")).await, bulk("far"), "behind {shown}");
        let reply = client.hear().await;
        let believed = whole.is_some_and(|whole| reply == whole.escape_ascii().to_string());
        let is_short = reply.starts_with('+') || reply.starts_with(':') || reply.starts_with('_');
        assert!(
            believed || is_short || reply == bulk("mine") || reply.starts_with('-'),
            "{reply} is neither the lie nor the truth: {shown}"
        );
        // Whoever comes next on that connection, or the one after it, hears nothing of it.
        let reply = next.say(&format!("GET {neighbour}")).await;
        assert!(reply == bulk("near") || reply.starts_with("-PROXYUN"), "{reply} is somebody else's, behind {shown}");
        pass(ms(world.random.below(3000))).await;
    }
    assert_eq!(next.say(&format!("GET {neighbour}")).await, bulk("near"));
}

/// What the process holds, and held at most, in bytes.
fn memory(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process knows its memory");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field is there");
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>().expect("kilobytes") << 10
}

#[test]
fn lies_cost_no_memory_and_nobody_elses_replies() {
    let (seeds, mut before) = (seeds(10), 0);
    for (n, &seed) in seeds.iter().enumerate() {
        if n == 1 {
            // The lies themselves, 4 MB at most, are a part of the first seed's.
            before = memory("VmHWM:");
        }
        proxied(seed, tell_lies);
    }
    let grown = memory("VmHWM:").saturating_sub(before);
    assert!(seeds.len() == 1 || grown < MEMORY, "memory grew by {grown} bytes");
    #[expect(clippy::print_stderr, reason = "a test's own report")]
    {
        eprintln!("T3 {} lies: 0 misdelivered, memory +{} KiB", seeds.len() * CASES, grown >> 10);
    }
}
