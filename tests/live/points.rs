//! Every split point: a stream of small commands, cut into two writes between any two of its bytes, is answered as if it
//! had come in one.

use crate::harness::{Client, Random, Reply, alone, frame, plain, proxy};

/// How many commands the stream has.
const COMMANDS: usize = 2000;
/// Connection n cuts the stream behind byte n, n + STEP, n + 2 STEP …, so that together they cut it everywhere.
const STEP: usize = 64;

/// One stream: its bytes, and behind which byte each reply is due.
struct Stream {
    bytes: Vec<u8>,
    due: Vec<usize>,
}

impl Stream {
    /// The stream of one connection; only the keys' prefix differs, not its length.
    fn new(seed: u64, connection: usize) -> Self {
        let mut random = Random::new(seed);
        let mut stream = Self { bytes: Vec::new(), due: Vec::new() };
        for _ in 0..COMMANDS {
            let (bytes, replies) = command(&mut random, connection);
            stream.bytes.extend(bytes);
            stream.due.extend(std::iter::repeat_n(stream.bytes.len(), replies));
        }
        stream
    }

    /// What a plain server answers to it.
    fn expected(&self) -> Vec<Reply> {
        let mut client = Client::connect(plain().addr());
        client.send(&self.bytes);
        self.due.iter().map(|_| client.read()).collect()
    }
}

/// A small command, and how many replies it gets.
fn command(random: &mut Random, connection: usize) -> (Vec<u8>, usize) {
    let mut key = |kind: &str| format!("points:{connection:02}:{kind}{}", random.below(8));
    let line = match (key("s"), key("n"), key("l"), key("h"), random.below(18)) {
        (s, _, _, _, 0) => return (frame(&["SET".as_bytes(), s.as_bytes(), b"a\r\n$1\r\nb\r\n"]), 1),
        (s, _, _, _, 1) => return (frame(&["set".as_bytes(), s.as_bytes(), b""]), 1),
        (s, _, _, _, 2) => return (frame(&["GET".as_bytes(), s.as_bytes()]), 1),
        (s, n, _, _, 3) => return (frame(&["MGET", &s, &n, &s]), 1),
        (s, n, _, _, 4) => return (frame(&["MSET", &s, "\0\u{ff}", &n, "7"]), 1),
        (s, n, l, h, 5) => return (frame(&["DEL", &s, &n, &l, &h]), 1),
        (_, n, _, _, 6) => return (frame(&["INCR", &n]), 1),
        (_, _, l, _, 7) => return (frame(&["RPUSH", &l, "x", "", "y"]), 1),
        (_, _, l, _, 8) => return (frame(&["LRANGE", &l, "0", "2"]), 1),
        (_, _, _, h, 9) => return (frame(&["HSET", &h, "f", "v"]), 1),
        (_, _, _, h, 10) => return (frame(&["HGETALL", &h]), 1),
        (s, ..) if random.one_in(4) => format!("SET {s} \"quoted \\x41\\n\"\r\n"),
        (s, ..) if random.one_in(4) => format!("GET {s}\n"),
        (_, _, l, _, 11) => format!("  INCR   {l} \r\n"),
        (_, _, _, _, 12) => return (b"\r\n".to_vec(), 0),
        (_, _, _, _, 13) => "PING\r\n".to_owned(),
        (_, _, _, _, 14) => "ECHO 'it''s'\r\nECHO ok\r\n".replace("''", " "),
        (_, _, _, _, 15) => return (frame(&["GET"]), 1),
        (_, _, _, _, 16) => return (frame(&["NOSUCH", "argument"]), 1),
        _ => return (frame(&["ECHO", "*1\r\n$4\r\nPING\r\n"]), 1),
    };
    let replies = line.matches('\n').count();
    (line.into_bytes(), replies)
}

#[test]
fn a_stream_cut_behind_any_byte_is_answered_as_if_it_were_whole() {
    let _alone = alone();
    let proxy = proxy();
    let seed = Random::seed();
    let streams: Vec<_> = (0..STEP).map(|n| Stream::new(seed, n)).collect();
    let expected: Vec<_> = streams.iter().map(Stream::expected).collect();
    let mut clients: Vec<_> = (0..STEP).map(|_| Client::connect(proxy.addr())).collect();
    let (mut sent, mut read) = (vec![0; STEP], vec![0; STEP]);
    let mut cuts = 0;
    while sent.iter().zip(&streams).any(|(&sent, stream)| sent < stream.bytes.len()) {
        for n in 0..STEP {
            let end = if sent[n] == 0 { n + 1 } else { sent[n] + STEP }.min(streams[n].bytes.len());
            clients[n].send(&streams[n].bytes[sent[n]..end]);
            cuts += usize::from(end < streams[n].bytes.len() && sent[n] < end);
            sent[n] = end;
        }
        // The replies to what is whole by now come back before the rest is sent: so the proxy saw the cut.
        for n in 0..STEP {
            while streams[n].due.get(read[n]).is_some_and(|&due| due <= sent[n]) {
                let answer = clients[n].read();
                assert_eq!(answer, expected[n][read[n]], "LIVE_SEED={seed}: reply {} of connection {n}", read[n]);
                read[n] += 1;
            }
        }
    }
    assert_eq!(cuts, streams[0].bytes.len() - 1, "every point was cut once");
}

#[test]
fn a_stream_that_comes_byte_by_byte_is_answered_as_if_it_were_whole() {
    let _alone = alone();
    let proxy = proxy();
    let seed = Random::seed();
    let stream = Stream::new(seed, STEP);
    let mut client = Client::connect(proxy.addr());
    for byte in &stream.bytes {
        client.send(&[*byte]);
    }
    for (n, expected) in stream.expected().into_iter().enumerate() {
        assert_eq!(client.read(), expected, "LIVE_SEED={seed}: reply {n}");
    }
}
