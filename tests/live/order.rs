//! Replies come in the order of the requests, however deep the pipeline and whatever node answers first.

use crate::harness::{Client, Random, alone, frame, plain, proxy};

/// How many commands one client writes before it reads anything.
const DEPTH: usize = 10_000;
/// How many clients do so at once.
const CLIENTS: usize = 4;

#[test]
fn ten_thousand_commands_in_one_write_are_answered_in_order() {
    let _alone = alone();
    let proxy = proxy();
    let seed = Random::seed();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut random = Random::new(seed + client as u64);
                let commands: Vec<_> = (0..DEPTH).map(|n| command(&mut random, client, n)).collect();
                let bytes: Vec<u8> = commands.iter().flat_map(|command| frame(command)).collect();
                let mut single = Client::connect(plain().addr());
                single.send(&bytes);
                let expected: Vec<_> = commands.iter().map(|_| single.read()).collect();
                let mut through = Client::connect(proxy.addr());
                through.send(&bytes);
                for (n, expected) in expected.into_iter().enumerate() {
                    let answer = through.read();
                    assert_eq!(answer, expected, "LIVE_SEED={seed} client {client}, {n}: {}", commands[n].join(" "));
                }
            });
        }
    });
}

/// Keys belong to one client, so that the order within a key is fixed too.
fn command(random: &mut Random, client: usize, n: usize) -> Vec<String> {
    let mut key = || format!("order:{client}:{}", random.below(200));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match n % 10 {
        0 | 1 => words(&["SET", &key(), &format!("value {n}")]),
        2..=4 => words(&["GET", &key()]),
        5 => words(&["MGET", &key(), &key(), &key(), &key()]),
        6 => words(&["ECHO", &n.to_string()]),
        7 => words(&["INCR", &format!("{}:n", key())]),
        8 => words(&["PING"]),
        _ => words(&["APPEND", &format!("{}:a", key()), "x"]),
    }
}
