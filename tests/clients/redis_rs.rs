//! redis-rs: what its users do, through one endpoint. One of the programs of the compatibility matrix.
//!
//! usage: `redis_rs PORT PROTOCOL`
//! Prints `ok name` or `fail name: reason` for each feature; the exit code is 1 if any failed.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt::Debug;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Client, Commands, Connection, ErrorKind, Script, ServerErrorKind};

type Done = Result<(), Box<dyn Error>>;
/// A feature: its name and what it does with its client.
type Feature = (&'static str, fn(&Client) -> Done);

/// How long a reply may take.
const LIMIT: Duration = Duration::from_secs(15);

const FEATURES: &[Feature] = &[
    ("connect", connect),
    ("all types", all_types),
    ("streams", streams),
    ("many keys over slots", many_keys),
    ("pipeline", pipeline),
    ("transaction in one slot", transaction),
    ("watch", watch),
    ("transaction over slots", transaction_over_slots),
    ("scripts", scripts),
    ("blocking pops", blocking_pops),
    ("publish and subscribe", subscribe),
    ("scan iterators", scan),
    ("multiplexed connection", multiplexed),
    ("connection manager that reconnects", manager),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let [_, port, protocol] = words.as_slice() else {
        println!("usage: redis_rs PORT PROTOCOL");
        return ExitCode::FAILURE;
    };
    let client = match Client::open(format!("redis://127.0.0.1:{port}/0?protocol=resp{protocol}")) {
        Ok(client) => client,
        Err(error) => {
            println!("fail connect: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut failed = false;
    for (name, feature) in FEATURES {
        match feature(&client) {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                failed = true;
                println!("fail {name}: {}", error.to_string().replace('\n', " "));
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A value that is not the expected one fails its feature.
fn expect<T: PartialEq + Debug>(found: &T, wanted: &T) -> Done {
    if found == wanted { Ok(()) } else { Err(format!("expected {wanted:?}, found {found:?}").into()) }
}

fn open(client: &Client) -> Result<Connection, Box<dyn Error>> {
    let connection = client.get_connection()?;
    connection.set_read_timeout(Some(LIMIT))?;
    Ok(connection)
}

/// Does something a little later, on a connection of its own.
fn later(client: &Client, work: fn(&mut Connection)) -> thread::JoinHandle<()> {
    let client = client.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        if let Ok(mut connection) = client.get_connection() {
            work(&mut connection);
        }
    })
}

fn connect(client: &Client) -> Done {
    let mut c = open(client)?;
    expect(&redis::cmd("PING").query::<String>(&mut c)?, &"PONG".to_owned())?;
    let info: redis::InfoDict = redis::cmd("INFO").query(&mut c)?;
    expect(&info.get("redis_mode"), &Some("standalone".to_owned()))
}

fn all_types(client: &Client) -> Done {
    let mut c = open(client)?;
    c.set_ex::<_, _, ()>("s", 1, 100)?;
    expect(&c.incr::<_, _, i64>("s", 4)?, &5)?;
    expect(&c.get::<_, Option<String>>("none")?, &None)?;
    c.hset_multiple::<_, _, _, ()>("h", &[("f", "v"), ("g", "w")])?;
    let pairs: BTreeMap<String, String> = c.hgetall("h")?;
    expect(&pairs.len(), &2)?;
    expect(&c.rpush::<_, _, i64>("l", &["a", "b"])?, &2)?;
    expect(&c.lrange::<_, Vec<String>>("l", 0, -1)?, &vec!["a".to_owned(), "b".to_owned()])?;
    expect(&c.sadd::<_, _, i64>("set", &["m", "n"])?, &2)?;
    expect(&c.smembers::<_, HashSet<String>>("set")?.len(), &2)?;
    expect(&c.zadd::<_, _, _, i64>("z", "x", 1.5)?, &1)?;
    expect(&c.zrange_withscores::<_, Vec<(String, f64)>>("z", 0, -1)?, &vec![("x".to_owned(), 1.5)])?;
    let wrong = c.lpush::<_, _, i64>("s", "x");
    expect(&wrong.err().and_then(|error| error.code().map(ToOwned::to_owned)), &Some("WRONGTYPE".to_owned()))
}

fn streams(client: &Client) -> Done {
    let mut c = open(client)?;
    let id: String = c.xadd("st", "*", &[("n", "1")])?;
    let range: StreamRangeReply = c.xrange_all("st")?;
    expect(&range.ids.first().map(|entry: &StreamId| entry.id.clone()), &Some(id.clone()))?;
    c.xgroup_create::<_, _, _, ()>("st", "g", "0")?;
    let options = StreamReadOptions::default().group("g", "me");
    let read: Option<StreamReadReply> = c.xread_options(&["st"], &[">"], &options)?;
    expect(&read.map(|reply| reply.keys.len()), &Some(1))?;
    expect(&c.xack::<_, _, _, i64>("st", "g", &[id])?, &1)
}

fn many_keys(client: &Client) -> Done {
    let mut c = open(client)?;
    let pairs: Vec<(String, i64)> = (0..100).map(|n| (format!("many:{n}"), n)).collect();
    let keys: Vec<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    c.mset::<_, _, ()>(&pairs)?;
    expect(&c.mget::<_, Vec<i64>>(&keys)?, &(0..100).collect())?;
    expect(&c.exists::<_, i64>(&keys)?, &100)?;
    expect(&c.del::<_, i64>(&keys)?, &100)
}

fn pipeline(client: &Client) -> Done {
    let mut pipe = redis::pipe();
    for n in 0..500 {
        pipe.incr(format!("p:{}", n % 50), 1);
    }
    let replies: Vec<i64> = pipe.query(&mut open(client)?)?;
    expect(&(replies.len(), replies.last().copied()), &(500, Some(10)))
}

fn transaction(client: &Client) -> Done {
    let replies: (String, i64, i64) =
        redis::pipe().atomic().set("{t}a", 1).incr("{t}a", 1).get("{t}a").query(&mut open(client)?)?;
    expect(&replies, &("OK".to_owned(), 2, 2))
}

fn watch(client: &Client) -> Done {
    let (mut c, mut other) = (open(client)?, open(client)?);
    let mut tries = 0;
    // Somebody else changes the key during the first try, so that it takes two.
    let (replaced,): (i64,) = redis::transaction(&mut c, &["{w}a"], |c, pipe| {
        tries += 1;
        let seen: i64 = c.get::<_, Option<i64>>("{w}a")?.unwrap_or(0);
        if tries == 1 {
            other.set::<_, _, ()>("{w}a", 10)?;
        }
        pipe.set("{w}a", seen + 1).ignore().get("{w}a").query(c)
    })?;
    expect(&(tries, replaced), &(2, 11))
}

fn transaction_over_slots(client: &Client) -> Done {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for n in 0..20 {
        pipe.set(format!("over:{n}"), n);
    }
    let replies: Vec<String> = pipe.query(&mut open(client)?)?;
    expect(&replies, &vec!["OK".to_owned(); 20])
}

fn scripts(client: &Client) -> Done {
    let mut c = open(client)?;
    let script = Script::new("return redis.call('incrby', KEYS[1], ARGV[1])");
    expect(&script.key("lua").arg(7).invoke::<i64>(&mut c)?, &7)?;
    expect(&script.key("lua").arg(7).invoke::<i64>(&mut c)?, &14)?;
    redis::cmd("SCRIPT").arg("FLUSH").query::<()>(&mut c)?;
    expect(&script.key("lua").arg(7).invoke::<i64>(&mut c)?, &21)?;
    let unknown = redis::cmd("EVALSHA").arg("0".repeat(40)).arg(0).query::<i64>(&mut c);
    expect(&unknown.err().map(|error| error.kind()), &Some(ErrorKind::Server(ServerErrorKind::NoScript)))
}

fn blocking_pops(client: &Client) -> Done {
    let mut c = open(client)?;
    expect(&c.blpop::<_, Option<(String, String)>>("{b}1", 0.1)?, &None)?;
    let other = later(client, |c| drop(c.rpush::<_, _, i64>("{b}2", "x")));
    let popped: Option<(String, String)> = c.blpop(&["{b}1", "{b}2"], 10.0)?;
    expect(&popped, &Some(("{b}2".to_owned(), "x".to_owned())))?;
    other.join().map_err(|_| "the other thread ended badly")?;
    let other = later(client, |c| drop(c.xadd::<_, _, _, _, String>("{b}st", "*", &[("n", "1")])));
    let options = StreamReadOptions::default().block(10_000);
    let read: Option<StreamReadReply> = c.xread_options(&["{b}st"], &["$"], &options)?;
    other.join().map_err(|_| "the other thread ended badly")?;
    expect(&read.map(|reply| reply.keys.len()), &Some(1))
}

fn subscribe(client: &Client) -> Done {
    let (mut c, mut publisher) = (open(client)?, open(client)?);
    let mut pubsub = c.as_pubsub();
    pubsub.subscribe("news")?;
    pubsub.psubscribe("we*")?;
    expect(&publisher.publish::<_, _, i64>("news", "hello")?, &1)?;
    expect(&publisher.publish::<_, _, i64>("weather", "rain")?, &1)?;
    let message = pubsub.get_message()?;
    expect(&(message.get_channel_name(), message.get_payload::<String>()?), &("news", "hello".to_owned()))?;
    let message = pubsub.get_message()?;
    expect(&(message.get_channel_name(), message.get_payload::<String>()?), &("weather", "rain".to_owned()))?;
    pubsub.unsubscribe("news")?;
    pubsub.punsubscribe("we*")?;
    drop(pubsub);
    expect(&redis::cmd("PING").query::<String>(&mut c)?, &"PONG".to_owned())
}

fn scan(client: &Client) -> Done {
    let mut c = open(client)?;
    let pairs: Vec<(String, i64)> = (0..500).map(|n| (format!("scan:{n}"), n)).collect();
    c.mset::<_, _, ()>(&pairs)?;
    let found: HashSet<String> = c.scan_match::<_, String>("scan:*")?.collect::<Result<_, _>>()?;
    expect(&found.len(), &500)?;
    c.hset_multiple::<_, _, _, ()>("scan-h", &pairs)?;
    let fields: Vec<(String, i64)> = c.hscan("scan-h")?.collect::<Result<_, _>>()?;
    expect(&fields.iter().map(|(field, _)| field).collect::<HashSet<_>>().len(), &500)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn multiplexed(client: &Client) -> Done {
    runtime()?.block_on(async {
        let connection = client.get_multiplexed_async_connection().await?;
        let mut under_way = Vec::new();
        for n in 0..100 {
            let mut c = connection.clone();
            under_way.push(async move {
                c.set::<_, _, ()>(format!("async:{n}"), n).await?;
                c.get::<_, i64>(format!("async:{n}")).await
            });
        }
        for (n, one) in under_way.into_iter().enumerate() {
            expect(&one.await?, &i64::try_from(n)?)?;
        }
        Ok(())
    })
}

fn manager(client: &Client) -> Done {
    let mut admin = open(client)?;
    runtime()?.block_on(async {
        let mut c = client.get_connection_manager().await?;
        for _ in 0..3 {
            let id: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut c).await?;
            let killed: i64 = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query(&mut admin)?;
            expect(&killed, &1)?;
            // The first request learns of the loss; the next one goes over a new connection.
            let _: Result<(), _> = c.set("again", 1).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            c.set::<_, _, ()>("again", 2).await?;
        }
        Ok(())
    })
}
