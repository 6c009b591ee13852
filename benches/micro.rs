//! The parts of a request's way, each on its own: decode, look up, route, find a reply's end, deliver, merge.
//!
//! `cargo bench --bench micro`. Numbers are for comparing two versions on one machine; what a client notices is
//! measured in `benches/side_by_side`.
#![expect(missing_docs, reason = "criterion's macros make the functions that it means")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use slotway::cluster::slot::slot;
use slotway::command::{Merge, lookup};
use slotway::merge::Gather;
use slotway::replies::Replies;
use slotway::resp::reply::Scanner;
use slotway::resp::request::{Args, Decoder, Limits, Step};
use slotway::resp::{Proto, encode};
use slotway::route::{Parts, route};

const LIMITS: Limits = Limits { args: 1 << 20, bulk: 512 << 20, frame: 576 << 20, unauthenticated: false };

fn frame(args: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    encode::request(&mut out, &args.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>());
    out
}

/// The requests that are measured.
fn samples() -> [(&'static str, Vec<u8>); 3] {
    let keys: Vec<String> = (0..100).map(|n| format!("key:{n:04}")).collect();
    let mget: Vec<&str> = std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
    [
        ("get", frame(&["GET", "key:0001"])),
        ("set_64", frame(&["SET", "key:0001", &"v".repeat(64)])),
        ("mget_100", frame(&mget)),
    ]
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (name, bytes) in samples() {
        let (mut decoder, mut args) = (Decoder::default(), Args::default());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| b.iter(|| decoder.step(black_box(&bytes), &mut args, &LIMITS)));
    }
    group.finish();
}

fn look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    for name in ["GET", "get", "ZRANGEBYSCORE", "nosuchcommand"] {
        group.bench_function(name, |b| b.iter(|| lookup(black_box(name.as_bytes()))));
    }
    group.finish();
}

fn find_route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for (name, bytes) in samples() {
        let (mut args, mut parts) = (Args::default(), Parts::default());
        let Ok(Step::Request { used, inline }) = Decoder::default().step(&bytes, &mut args, &LIMITS) else { return };
        let request = args.request(&bytes, used, inline);
        let Some(spec) = lookup(request.name()) else { return };
        group.bench_function(name, |b| b.iter(|| route(black_box(spec), &request, &mut parts)));
    }
    group.finish();
}

fn find_slot(c: &mut Criterion) {
    let mut group = c.benchmark_group("slot");
    let long = "k".repeat(64);
    for (name, key) in [("8", "key:0001"), ("64", long.as_str()), ("tag", "{user:1000}.following")] {
        group.bench_function(name, |b| b.iter(|| slot(black_box(key.as_bytes()))));
    }
    group.finish();
}

fn reply_end(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply_end");
    let bulk = format!("$64\r\n{}\r\n", "v".repeat(64));
    let array = format!("*100\r\n{}", bulk.repeat(100));
    for (name, reply) in [("ok", "+OK\r\n"), ("integer", ":1234\r\n"), ("bulk_64", &bulk), ("array_100", &array)] {
        let mut scanner = Scanner::new(Proto::Resp2, 1 << 30);
        group.throughput(Throughput::Bytes(reply.len() as u64));
        group.bench_function(name, |b| b.iter(|| scanner.end(black_box(reply.as_bytes()))));
    }
    group.finish();
}

/// Reserves `count` places, answers them in the order that `at` gives, and takes them away as a socket would.
fn deliver_all(replies: &mut Replies, client: u32, count: usize, backwards: bool) {
    let mut tickets: Vec<_> = (0..count).filter_map(|_| replies.reserve(client, 30)).collect();
    if !backwards {
        tickets.reverse();
    }
    while let Some(ticket) = tickets.pop() {
        replies.deliver(ticket, black_box(b"$8\r\n12345678\r\n"));
    }
    let len = replies.begin_write(client).map_or(0, <[u8]>::len);
    replies.wrote(client, len);
    let mut dirty = Vec::new();
    replies.take_dirty(&mut dirty);
}

fn deliver(c: &mut Criterion) {
    let mut group = c.benchmark_group("deliver_16");
    for (name, backwards) in [("in_order", false), ("early", true)] {
        let mut replies = Replies::default();
        let client = replies.open();
        group.throughput(Throughput::Elements(16));
        group.bench_function(name, |b| b.iter(|| deliver_all(&mut replies, client, 16, backwards)));
    }
    group.finish();
}

fn merge(c: &mut Criterion) {
    let mut group = c.benchmark_group("merge");
    let part = format!("*10\r\n{}", "$8\r\n12345678\r\n".repeat(10));
    let order: Vec<u32> = (0..100).map(|n| (n * 37) % 100).collect();
    let starts: Vec<u32> = (0..10).map(|part| part * 10).collect();
    let concat = || Gather::ordered(Merge::Concat, Proto::Resp2, order.clone(), starts.clone());
    let sum = || Gather::new(Merge::Sum, Proto::Resp2, 10);
    let mut out = Vec::new();
    let mut fold = |mut gather: Gather, reply: &[u8]| {
        for number in 0..10 {
            gather.add(number, black_box(reply));
        }
        out.clear();
        gather.finish(&mut out);
    };
    group.bench_function("mget_100_of_10", |b| {
        b.iter_batched(concat, |gather| fold(gather, part.as_bytes()), BatchSize::SmallInput);
    });
    group.bench_function("sum_10", |b| b.iter_batched(sum, |gather| fold(gather, b":1\r\n"), BatchSize::SmallInput));
    group.finish();
}

criterion_group!(micro, decode, look_up, find_route, find_slot, reply_end, deliver, merge);
criterion_main!(micro);
