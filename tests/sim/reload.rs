//! A new configuration while the proxy runs: who takes it up, and that nobody is dropped for it.

use std::cell::RefCell;
use std::rc::Rc;

use slotway::admin::reload::{Ask, Asks, Told};
use slotway::config::{Config, Loaded, Mistakes, Sources, load};
use slotway::demo::embedded::Options;
use slotway::reload::{Read, Reloads};
use tokio::sync::oneshot;

use crate::proxy::{ms, pass, start_with};
use crate::world::{Stage, World, seeds, world};

type Env = Vec<(String, String)>;

/// What the proxy reads next, and how to have it read.
struct Source {
    env: Rc<RefCell<Env>>,
    asks: Asks,
}

impl Source {
    /// Has another configuration read; what came of it.
    async fn turn(&self, env: &[(&str, &str)]) -> Told {
        *self.env.borrow_mut() = owned(env);
        let (answer, told) = oneshot::channel();
        self.asks.send(Ask { by: "test", answer: Some(answer) }).await.expect("the proxy runs");
        told.await.expect("it answers")
    }

    /// Has a good one read.
    async fn set(&self, env: &[(&str, &str)]) -> String {
        let told = self.turn(env).await;
        assert!(told.good, "{}", told.text);
        // The workers hear of it in their next turn.
        pass(ms(1)).await;
        told.text
    }
}

fn owned(env: &[(&str, &str)]) -> Env {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Reads an environment, with what the stage gives.
fn read(env: &Env, stage: &Config) -> Result<Loaded, Mistakes> {
    let mut loaded = load(&Sources { env: env.clone(), ..Sources::default() })?;
    loaded.config.worker.addr = stage.worker.addr.clone();
    loaded.config.cluster.seeds.clone_from(&stage.cluster.seeds);
    loaded.config.worker.workers = 2;
    Ok(loaded)
}

/// Runs a scenario with a proxy of two workers that is configured by an environment.
fn reloading(seed: u64, env: &[(&str, &str)], scenario: impl AsyncFnOnce(World, Source)) {
    let env = Rc::new(RefCell::new(owned(env)));
    let (given, asks) = (Rc::clone(&env), Rc::new(RefCell::new(None)));
    let to_be_asked = Rc::clone(&asks);
    let front = async move |stage: Stage| {
        let mut base = Config::default();
        base.worker.addr = stage.listen.clone();
        base.cluster.seeds.clone_from(&stage.seeds);
        let config = read(&given.borrow(), &base).unwrap_or_else(|mistakes| panic!("{mistakes}")).config;
        let again: Read = Box::new(move || {
            let read = read(&given.borrow(), &base);
            Box::pin(async { read })
        });
        let reloads = Reloads::new(again, Box::new(|_| {}));
        *to_be_asked.borrow_mut() = Some(reloads.asks.clone());
        start_with(stage.net, config, Some(reloads), std::future::pending()).await
    };
    world(seed, Options::default(), front, async |world| {
        let asks = asks.borrow_mut().take().expect("the proxy has started");
        scenario(world, Source { env, asks }).await;
    });
}

const OFF: (&str, &str) = ("SLOTWAY__ADMIN__ADDR", "off");

#[test]
fn users_come_and_go_and_passwords_change() {
    let listener = ("SLOTWAY__LISTENERS__B__ADDR", "127.0.0.1:5001");
    let of_default = |password| ("SLOTWAY__AUTH__PASSWORD", password);
    reloading(1, &[OFF, listener], async |world, source| {
        let mut early = world.client().await;
        assert_eq!(early.say("SET a 1").await, r"+OK\r\n");
        let told = source.set(&[OFF, listener, of_default("one")]).await;
        assert!(told.contains("changed: auth.users"), "{told}");
        assert_eq!(early.say("GET a").await, r"$1\r\n1\r\n", "whoever needed no password is the user default");
        let mut late = world.client().await;
        assert!(late.say("GET a").await.starts_with("-NOAUTH"));
        assert_eq!(late.say("AUTH one").await, r"+OK\r\n");
        source.set(&[OFF, listener, of_default("two")]).await;
        assert_eq!(late.say("GET a").await, r"$1\r\n1\r\n", "a new password is for new clients");
        assert!(late.say("AUTH one").await.starts_with("-WRONGPASS"));
        let own = [("SLOTWAY__LISTENERS__B__PASSWORD", "own")];
        source.set(&[&[OFF, listener, of_default("two")], &own[..]].concat()).await;
        assert_eq!(early.say("GET a").await, r"$1\r\n1\r\n");
        source.set(&[OFF, listener]).await;
        assert_eq!(world.client().await.say("GET a").await, r"$1\r\n1\r\n", "nobody needs one again");
    });
}

#[test]
fn permissions_and_limits_follow_for_those_who_are_there() {
    reloading(1, &[OFF], async |world, source| {
        let mut client = world.client().await;
        assert_eq!(client.say("MSET a 1 b 2 c 3").await, r"+OK\r\n");
        source.set(&[OFF, ("SLOTWAY__COMMANDS__DENY", "get"), ("SLOTWAY__COMMANDS__SPLIT", "off")]).await;
        assert!(client.say("GET a").await.starts_with("-NOPERM"));
        assert!(client.say("MGET a b c").await.starts_with("-CROSSSLOT"));
        source.set(&[OFF, ("SLOTWAY__LIMITS__ARGS", "16"), ("SLOTWAY__COMPAT__SELECT", "ignore")]).await;
        assert_eq!(client.say("GET a").await, r"$1\r\n1\r\n");
        assert_eq!(client.say("SELECT 4").await, r"+OK\r\n");
        let many = format!("DEL {}", "k ".repeat(20));
        assert!(client.say(&many).await.contains("invalid multibulk length"));
        let mut silent = world.client().await;
        assert_eq!(silent.say("PING").await, r"+PONG\r\n");
        source.set(&[OFF, ("SLOTWAY__LISTEN__IDLE_TIMEOUT", "2s"), ("SLOTWAY__LISTEN__MAX_CLIENTS", "1")]).await;
        assert!(world.client().await.say("PING").await.starts_with("-ERR max number of clients"));
        assert_eq!(silent.say("PING").await, r"+PONG\r\n", "those who are there stay");
        pass(ms(4500)).await;
        assert!(silent.rest().await.is_empty(), "closed as one that is silent");
    });
}

#[test]
fn a_transaction_ends_as_it_began() {
    let per_slot = ("SLOTWAY__COMMANDS__TRANSACTIONS", "per_slot");
    reloading(1, &[OFF], async |world, source| {
        let mut client = world.client().await;
        client.say("MULTI").await;
        assert_eq!(client.say("SET a 1").await, r"+QUEUED\r\n");
        source.set(&[OFF, per_slot]).await;
        assert!(client.say("SET b 1").await.starts_with("-CROSSSLOT"), "one slot, as at its beginning");
        assert!(client.say("EXEC").await.starts_with("-EXECABORT"));
        client.say("MULTI").await;
        assert_eq!(client.say("SET a 1").await, r"+QUEUED\r\n");
        assert_eq!(client.say("SET b 1").await, r"+QUEUED\r\n", "the next one is by the new rule");
        source.set(&[OFF]).await;
        assert_eq!(client.say("EXEC").await, r"*2\r\n+OK\r\n+OK\r\n");
        client.say("MULTI").await;
        client.say("SET a 1").await;
        assert!(client.say("SET b 1").await.starts_with("-CROSSSLOT"));
    });
}

#[test]
fn what_is_bad_changes_nothing_and_what_needs_a_restart_is_named() {
    reloading(1, &[OFF], async |world, source| {
        let mut client = world.client().await;
        let told = source.turn(&[OFF, ("SLOTWAY__COMMANDS__DENY", "get"), ("SLOTWAY__LIMITS__ARGS", "1")]).await;
        assert!(!told.good && told.text.contains("limits.args: \"1\" is out of range"), "{}", told.text);
        assert_eq!(client.say("GET a").await, r"$-1\r\n", "not even the half of it that is good");
        let told = source.set(&[OFF, ("SLOTWAY__KEYSPACE__PIN", "app"), ("SLOTWAY__COMMANDS__DENY", "set")]).await;
        assert!(told.contains("changed: commands.deny") && told.contains("needs a restart: keyspace.pin"), "{told}");
        assert_eq!(client.say("GET a").await, r"$-1\r\n");
        assert!(client.say("SET a 1").await.starts_with("-NOPERM"));
        let shown = client.say("PROXY CONFIG").await;
        assert!(shown.contains("after a restart: keyspace.pin") && shown.contains("deny = [\\\"set\\\"]"), "{shown}");
        assert!(source.set(&[OFF, ("SLOTWAY__COMMANDS__DENY", "set")]).await.contains("nothing has changed"));
    });
}

#[test]
fn nobody_is_dropped_and_nothing_fails_while_it_changes_all_the_time() {
    // Each step changes something on the way of a request.
    let steps: [&[(&str, &str)]; 6] = [
        &[("SLOTWAY__LIMITS__CLIENT_IN_FLIGHT", "1"), ("SLOTWAY__CLUSTER__CANARY", "10ms")],
        &[("SLOTWAY__LIMITS__CLIENT_OUTPUT", "16kb"), ("SLOTWAY__LIMITS__NODE_QUEUE", "16kb")],
        &[("SLOTWAY__AUTH__PASSWORD", "x"), ("SLOTWAY__COMMANDS__DENY", "flushall")],
        &[("SLOTWAY__CLUSTER__REQUEST_TIMEOUT", "30s"), ("SLOTWAY__SLOWLOG__THRESHOLD", "0s")],
        &[("SLOTWAY__CLUSTER__MAX_REDIRECTS", "16"), ("SLOTWAY__CLUSTER__REFRESH_INTERVAL", "100ms")],
        &[("SLOTWAY__AUTH__PASSWORD", "y"), ("SLOTWAY__LISTEN__IDLE_TIMEOUT", "1h")],
    ];
    for seed in seeds(3) {
        reloading(seed, &[OFF], async |world, source| {
            let mut clients = Vec::new();
            for number in 0..20 {
                let mut client = world.client().await;
                clients.push(tokio::task::spawn_local(async move {
                    let value = "v".repeat(500 * (number % 4) + 1);
                    for round in 0..60 {
                        let key = |n: usize| format!("key-{number}-{n}");
                        for n in 0..8 {
                            client.tell(&format!("SET {} {round}{value}", key(n))).await;
                            client.tell(&format!("GET {}", key(n))).await;
                        }
                        client.tell(&format!("MGET {} {}", key(0), key(1))).await;
                        for _ in 0..8 {
                            assert_eq!(client.hear().await, r"+OK\r\n");
                            let got = client.hear().await;
                            assert!(got.ends_with(&format!(r"\r\n{round}{value}\r\n")), "{got}");
                        }
                        assert!(client.hear().await.starts_with(r"*2\r\n"));
                        pass(ms(7)).await;
                    }
                }));
            }
            for turn in 0..200 {
                let step = steps[turn % steps.len()];
                let told = source.set(&[&[OFF], step].concat()).await;
                assert!(told.contains("changed: "), "{told}");
                pass(ms(2)).await;
            }
            for client in clients {
                client.await.expect("every reply was right");
            }
        });
    }
}
