//! Every reply belongs to its request: a mixed stream over many connections that break off at any byte.
//!
//! Values name their key, writer and number; scripts and echoes answer with a word that was never used before; private
//! keys hold exactly what their one writer wrote. So a reply that belongs to another request is seen as such.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Random, Value, alone, frame, long, parse, proxy, tell};

/// How many connections work at once.
const CONNECTIONS: usize = 200;
/// Keys that all writers share.
const SHARED: usize = 5000;
/// Keys that one writer has for itself.
const PRIVATE: usize = 20;
/// One batch in so many breaks off.
const BREAKS: usize = 40;
/// How long a batch may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Its three answers name its key, its argument and the key's value.
const SCRIPT: &str = "return {KEYS[1], ARGV[1], redis.call('get', KEYS[1])}";

/// What a reply has to be.
enum Due {
    /// These bytes.
    Exactly(Vec<u8>),
    /// Nothing, or a value that names this key.
    Of(String),
    /// An array of such.
    Each(Vec<Due>),
}

impl Due {
    fn bulk(text: Option<&str>) -> Self {
        Self::Exactly(
            text.map_or_else(|| b"$-1\r\n".to_vec(), |text| format!("${}\r\n{text}\r\n", text.len()).into_bytes()),
        )
    }

    /// Whether `value`, which came as `raw`, is it. Elements of arrays are compared by their value.
    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Exactly(bytes), value) => parse(bytes).is_some_and(|(expected, _)| expected == *value),
            (Self::Of(_), Value::Null) => true,
            (Self::Of(key), Value::Bulk(bytes)) => {
                bytes.strip_prefix(key.as_bytes()).is_some_and(|rest| rest.starts_with(b"|"))
            }
            (Self::Each(due), Value::Many(b'*', values)) => {
                due.len() == values.len() && due.iter().zip(values).all(|(due, value)| due.is(value))
            }
            _ => false,
        }
    }
}

/// What all connections share.
struct Test {
    addr: SocketAddr,
    goal: u64,
    replies: Cell<u64>,
    breaks: Cell<u64>,
    wrong: RefCell<Vec<String>>,
}

/// One writer and what it knows of its own keys.
struct Writer {
    number: usize,
    random: Random,
    /// Raised when a connection breaks off: nobody knows what became of the old keys.
    generation: u64,
    written: u64,
    values: Vec<Option<String>>,
    counter: u64,
}

impl Writer {
    fn private(&self, at: usize) -> String {
        format!("belongs:{}:{}:{at}", self.number, self.generation)
    }

    fn value(&mut self, key: &str) -> String {
        self.written += 1;
        let padding = if self.random.one_in(500) { 20_000 } else { self.random.below(60) };
        format!("{key}|{}|{}|{}", self.number, self.written, "x".repeat(padding))
    }

    /// One command and what its reply has to be, when all before it are done.
    fn command(&mut self) -> (Vec<u8>, Due) {
        let shared = format!("belongs:shared:{}", self.random.below(SHARED));
        let at = self.random.below(PRIVATE);
        let private = self.private(at);
        match self.random.below(100) {
            0..25 => (frame(&["GET", &shared]), Due::Of(shared)),
            25..40 => {
                let value = self.value(&shared);
                (frame(&["SET", &shared, &value]), Due::Exactly(b"+OK\r\n".to_vec()))
            }
            40..55 => (frame(&["GET", &private]), Due::bulk(self.values[at].as_deref())),
            55..65 => {
                let value = self.value(&private);
                let bytes = frame(&["SET", &private, &value]);
                self.values[at] = Some(value);
                (bytes, Due::Exactly(b"+OK\r\n".to_vec()))
            }
            65..78 => self.mget(shared),
            78..88 => {
                self.counter += 1;
                (frame(&["INCR", &self.private(PRIVATE)]), Due::Exactly(format!(":{}\r\n", self.counter).into_bytes()))
            }
            88..96 => {
                let word = self.value("word");
                let due = vec![Due::bulk(Some(&shared)), Due::bulk(Some(&word)), Due::Of(shared.clone())];
                (frame(&["EVAL", SCRIPT, "1", &shared, &word]), Due::Each(due))
            }
            _ => {
                let word = self.value("echo");
                (frame(&["ECHO", &word]), Due::bulk(Some(&word)))
            }
        }
    }

    fn mget(&mut self, first: String) -> (Vec<u8>, Due) {
        let (mut words, mut due) = (vec!["MGET".to_owned(), first.clone()], vec![Due::Of(first)]);
        for _ in 0..=self.random.below(10) {
            if self.random.one_in(2) {
                let at = self.random.below(PRIVATE);
                words.push(self.private(at));
                due.push(Due::bulk(self.values[at].as_deref()));
            } else {
                let key = format!("belongs:shared:{}", self.random.below(SHARED));
                words.push(key.clone());
                due.push(Due::Of(key));
            }
        }
        (frame(&words), Due::Each(due))
    }

    /// Works until the test has its replies.
    async fn work(mut self, test: Rc<Test>) {
        let mut stream = None;
        let mut inbox = Vec::new();
        while test.replies.get() < test.goal && test.wrong.borrow().is_empty() {
            let depth = if self.random.one_in(50) { 300 } else { 1 + self.random.below(24) };
            let batch: Vec<_> = (0..depth).map(|_| self.command()).collect();
            let breaks = self.random.one_in(BREAKS);
            let result = match timeout(LIMIT, self.exchange(&test, &mut stream, &mut inbox, &batch, breaks)).await {
                Ok(result) => result,
                Err(_) => Err(format!("a batch of {depth} was not answered in {LIMIT:?}")),
            };
            if let Err(why) = result {
                test.wrong.borrow_mut().push(format!("writer {}: {why}", self.number));
            }
            if breaks {
                test.breaks.set(test.breaks.get() + 1);
                self.generation += 1;
                self.values = vec![None; PRIVATE];
                self.counter = 0;
                inbox.clear();
                end(stream.take(), self.random.one_in(2));
            }
        }
    }

    /// Sends a batch and reads its replies, or only a part of either if it is to break off.
    async fn exchange(
        &mut self,
        test: &Test,
        stream: &mut Option<TcpStream>,
        inbox: &mut Vec<u8>,
        batch: &[(Vec<u8>, Due)],
        breaks: bool,
    ) -> Result<(), String> {
        let stream = if let Some(stream) = stream { stream } else { stream.insert(open(test.addr).await?) };
        let bytes: Vec<u8> = batch.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        let (sent, read) = if breaks {
            (self.random.below(bytes.len()), self.random.below(batch.len() + 1))
        } else {
            (bytes.len(), batch.len())
        };
        stream.write_all(&bytes[..sent]).await.map_err(|error| format!("send: {error}"))?;
        let mut end = 0;
        let mut at = 0;
        for (bytes, due) in &batch[..read] {
            end += bytes.len();
            if end > sent {
                break;
            }
            let value = loop {
                if let Some((value, used)) = parse(&inbox[at..]) {
                    at += used;
                    break value;
                }
                inbox.drain(..std::mem::take(&mut at));
                inbox.reserve(16 << 10);
                if stream.read_buf(inbox).await.map_err(|error| format!("read: {error}"))? == 0 {
                    return Err("the proxy closed the connection".to_owned());
                }
            };
            if !due.is(&value) {
                let command: String = bytes.escape_ascii().to_string().chars().take(200).collect();
                let value: String = format!("{value:?}").chars().take(400).collect();
                return Err(format!("{command} was answered by {value}"));
            }
            test.replies.set(test.replies.get() + 1);
        }
        inbox.drain(..at);
        Ok(())
    }
}

async fn open(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// Ends a connection: in peace, or by a reset.
fn end(stream: Option<TcpStream>, reset: bool) {
    if let Some(stream) = stream
        && reset
    {
        stream.set_zero_linger().unwrap();
    }
}

#[test]
fn every_reply_of_a_million_belongs_to_its_request() {
    let _alone = alone();
    let proxy = proxy();
    let seed = Random::seed();
    let goal = if long() { 10_000_000 } else { 1_000_000 };
    let test = Rc::new(Test {
        addr: proxy.addr(),
        goal,
        replies: Cell::default(),
        breaks: Cell::default(),
        wrong: RefCell::default(),
    });
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let writers = tokio::task::LocalSet::new();
    for number in 0..CONNECTIONS {
        let random = Random::new(seed ^ (number as u64) << 40);
        let values = vec![None; PRIVATE];
        let writer = Writer { number, random, generation: seed, written: 0, values, counter: 0 };
        writers.spawn_local(writer.work(Rc::clone(&test)));
    }
    runtime.block_on(writers);
    let wrong = test.wrong.borrow();
    assert!(
        wrong.is_empty(),
        "LIVE_SEED={seed}: after {} replies: {:#?}",
        test.replies.get(),
        &wrong[..wrong.len().min(5)]
    );
    assert!(
        test.replies.get() >= goal && test.breaks.get() > goal / 2000,
        "{} connections broke off",
        test.breaks.get()
    );
    tell(&format!(
        "LIVE_SEED={seed}: {} replies belong to their requests; {} connections broke off; {:.0} replies a second",
        test.replies.get(),
        test.breaks.get(),
        test.replies.get() as f64 / begun.elapsed().as_secs_f64()
    ));
}
