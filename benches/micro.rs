//! The steps of a request one by one: decode, look up, route, find the end of a reply, deliver, merge.
//!
//! `cargo bench --bench micro`. Times depend on the machine and its load: compare runs on one machine only. What
//! a whole request costs beside other proxies is the business of `side_by_side`.

#![expect(missing_docs, reason = "the macros of criterion make functions without any")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slotway::cluster::slot::slot;
use slotway::command::{self, Merge};
use slotway::merge::Gather;
use slotway::replies::Replies;
use slotway::resp::reply::Scanner;
use slotway::resp::request::{Args, Decoder, Limits, Step};
use slotway::resp::{Proto, encode};
use slotway::route::{Parts, route};

const LIMITS: Limits = Limits { args: 1 << 20, bulk: 1 << 29, frame: 1 << 30, unauthenticated: false };

/// The frames that are measured, each with its name. Those with many keys show whether a split is linear.
fn frames() -> Vec<(String, Vec<u8>)> {
    let keys: Vec<String> = (0..10_000).map(|n| format!("key:{n:012}")).collect();
    let request = |name: &str, args: &[&[u8]]| {
        let mut frame = Vec::new();
        encode::request(&mut frame, args);
        (name.to_owned(), frame)
    };
    let mut all = vec![
        request("GET", &[b"GET", b"key:000000012345"]),
        request("SET 64 B", &[b"SET", b"key:000000012345", &[b'x'; 64]]),
    ];
    for count in [10, 100, 1000, 10_000] {
        let mget = std::iter::once(b"MGET".as_slice()).chain(keys.iter().take(count).map(String::as_bytes));
        all.push(request(&format!("MGET {count}"), &mget.collect::<Vec<_>>()));
    }
    all
}

fn requests(c: &mut Criterion) {
    let (mut decoder, mut args, mut parts) = (Decoder::default(), Args::default(), Parts::default());
    let mut group = c.benchmark_group("request");
    for (name, frame) in frames() {
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| decoder.step(black_box(&frame), &mut args, &LIMITS));
        });
        let Ok(Step::Request { used, inline }) = decoder.step(&frame, &mut args, &LIMITS) else { continue };
        let request = args.request(&frame, used, inline);
        let Some(spec) = command::lookup(request.name()) else { continue };
        group.bench_function(format!("look up {name}"), |b| b.iter(|| command::lookup(black_box(request.name()))));
        group.bench_function(format!("route {name}"), |b| b.iter(|| route(spec, black_box(&request), &mut parts)));
    }
    group.bench_function("slot of 16 bytes", |b| b.iter(|| slot(black_box(b"key:000000012345"))));
    group.bench_function("slot of a hash tag", |b| b.iter(|| slot(black_box(b"{user:1000}.following"))));
    group.finish();
}

/// `*n` and so many bulks of 64 bytes.
fn array(n: usize) -> Vec<u8> {
    let mut reply = Vec::new();
    encode::array(&mut reply, n);
    for _ in 0..n {
        encode::bulk(&mut reply, &[b'v'; 64]);
    }
    reply
}

fn answers(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply");
    let mut bulk = Vec::new();
    encode::bulk(&mut bulk, &[b'v'; 64]);
    for (name, reply) in [("bulk 64 B", bulk.clone()), ("array of 100", array(100))] {
        let mut scanner = Scanner::new(Proto::Resp2, 1 << 30);
        group.bench_function(format!("end of {name}"), |b| b.iter(|| scanner.end(black_box(&reply))));
    }
    for (name, early) in [("in order", false), ("early", true)] {
        let mut replies = Replies::default();
        let client = replies.open();
        group.bench_function(format!("deliver two {name}"), |b| {
            b.iter(|| {
                let (Some(first), Some(second)) = (replies.reserve(client, 40), replies.reserve(client, 40)) else {
                    return;
                };
                let (one, two) = if early { (second, first) } else { (first, second) };
                replies.deliver(one, &bulk);
                replies.deliver(two, &bulk);
                let written = replies.begin_write(client).map_or(0, <[u8]>::len);
                replies.wrote(client, written);
            });
        });
    }
    let part = array(34);
    group.bench_function("merge 3 parts of 34", |b| {
        let order: Vec<u32> = (0..3).flat_map(|part| (0..34).map(move |n| n * 3 + part)).collect();
        let mut out = Vec::new();
        b.iter(|| {
            let mut gather = Gather::ordered(Merge::Concat, Proto::Resp2, order.clone(), vec![0, 34, 68]);
            for number in 0..3 {
                gather.add(number, black_box(&part));
            }
            out.clear();
            gather.finish(&mut out);
        });
    });
    group.finish();
}

criterion_group!(micro, requests, answers);
criterion_main!(micro);
