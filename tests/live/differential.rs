//! Thousands of generated commands, asked of a plain server and through the proxy: the same bytes come back.
//!
//! Each family has a grammar (`differential/grammar.txt`). A line of it is a command with holes; some holes are
//! filled with what does not fit, and some commands lose, gain or swap an argument, so that errors are compared as
//! well. All keys of a round have one hash tag. Runs are repeated by `LIVE_SEED`.
//!
//! What is compared otherwise than byte for byte, and why:
//!
//! - `%` lines: elements in any order, because a hash table's order differs from process to process;
//! - what a cluster refuses is not generated: other databases (`COPY … DB 1`, `SELECT 1`), keys of two slots.

use std::net::SocketAddr;

use crate::harness::{Client, Random, Reply, direct, long, plain, proxy, tell};

const GRAMMAR: &str = include_str!("differential/grammar.txt");

/// One line of the grammar.
struct Rule {
    family: String,
    any_order: bool,
    line: &'static str,
}

fn rules() -> Vec<Rule> {
    let mut family = String::new();
    let mut rules = Vec::new();
    for line in GRAMMAR.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("# ") {
            name.clone_into(&mut family);
        } else {
            let any_order = line.starts_with("% ");
            rules.push(Rule { family: family.clone(), any_order, line: line.trim_start_matches("% ") });
        }
    }
    rules
}

/// Fills the holes of a rule.
struct Filler<'a> {
    random: &'a mut Random,
    tag: String,
}

impl Filler<'_> {
    fn pick<'a>(&mut self, among: &[&'a str]) -> &'a str {
        among[self.random.below(among.len())]
    }

    fn key(&mut self, kind: &str) -> String {
        // One in twelve is a key of another type.
        let kind = if self.random.one_in(12) { self.pick(&["s", "l", "h", "t", "z", "x", "n"]) } else { kind };
        format!("{{{}}}{kind}{}", self.tag, self.random.below(3))
    }

    fn hole(&mut self, hole: &str) -> String {
        match hole {
            "v" => self
                .pick(&[
                    "a",
                    "b",
                    "hello",
                    "10",
                    "3.5",
                    "",
                    "-1",
                    "a longer value with spaces",
                    "\u{e9}",
                    "\r\n+OK\r\n",
                    "\0\u{1}\u{7f}",
                    "99999999999999999999",
                ])
                .to_owned(),
            "m" => self.pick(&["a", "b", "c", "d", "e", "f", "1", "2", ""]).to_owned(),
            "n" if self.random.one_in(10) => self
                .pick(&[
                    "9223372036854775807",
                    "-9223372036854775808",
                    "18446744073709551616",
                    "+1",
                    " 1",
                    "1.0",
                    "0x1",
                    "01",
                    "",
                ])
                .to_owned(),
            "n" => self.pick(&["0", "1", "2", "3", "5", "-1", "-2", "10", "100"]).to_owned(),
            "p" => self.pick(&["1", "2", "3", "10"]).to_owned(),
            "c" => self
                .pick(&["0", "1", "2", "-1", "x", "1.5", "9223372036854775807", "-9223372036854775808", ""])
                .to_owned(),
            "f" => self.pick(&["0", "1", "1.5", "-2.25", "3e2", "inf", "-inf", "nan", "x", "10"]).to_owned(),
            "r" => self.pick(&["0", "(1", "1", "-inf", "+inf", "2.5", "(x", "10"]).to_owned(),
            "y" => self.pick(&["-", "+", "[a", "(b", "[c", "[zz", "a"]).to_owned(),
            "i" => self.pick(&["0", "-", "+", "1-1", "2-0", "3", "5-5", "$", "x", "0-0", "(1-1", "7-1"]).to_owned(),
            "lon" => self.pick(&["13.361389", "15.087269", "0", "-122.4", "181", "x"]).to_owned(),
            "lat" => self.pick(&["38.115556", "37.502669", "0", "37.7", "86", "x"]).to_owned(),
            "w" => self.pick(&["4102444800", "4200000000", "0", "-1", "x", "99999999999999999"]).to_owned(),
            kind => self.key(kind),
        }
    }

    /// The arguments of a rule: `<x>` is a hole, `(a|b)` a choice, `[a|b]` one that may be left out, `_` a space
    /// within either, `*` behind holes repeats them up to three times.
    fn fill(&mut self, line: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for token in line.split(' ') {
            let chosen = if let Some(inner) = token.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
                self.pick(&inner.split('|').collect::<Vec<_>>()).to_owned()
            } else if let Some(inner) = token.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
                if self.random.one_in(2) {
                    continue;
                }
                self.pick(&inner.split('|').collect::<Vec<_>>()).to_owned()
            } else {
                token.to_owned()
            };
            // Within brackets `_` parts words; elsewhere it is a part of names.
            let words_of = if chosen == token { vec![chosen.as_str()] } else { chosen.split('_').collect() };
            for word in words_of {
                let times = if word.ends_with('*') && word.starts_with('<') { 1 + self.random.below(3) } else { 1 };
                for _ in 0..times {
                    let holes: Vec<&str> = if word.starts_with('<') {
                        word.trim_end_matches('*').split(',').collect()
                    } else {
                        vec![word]
                    };
                    for hole in holes {
                        words.push(match hole.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
                            Some(hole) => self.hole(hole),
                            None => hole.to_owned(),
                        });
                    }
                }
            }
        }
        words
    }

    /// One in eight commands is made wrong.
    fn spoil(&mut self, words: &mut Vec<String>) {
        if !self.random.one_in(8) || words.len() < 2 {
            return;
        }
        let at = 1 + self.random.below(words.len() - 1);
        // A key in another slot would be refused by a cluster alone.
        let is_key = |word: &str| word.starts_with('{');
        match self.random.below(4) {
            0 => words.truncate(at),
            1 => {
                words.remove(at);
            }
            2 => words.push(self.pick(&["extra", "NX", "1"]).to_owned()),
            _ if !is_key(&words[at]) => self.pick(&["nonsense", "", "-5", "1"]).clone_into(&mut words[at]),
            _ => {}
        }
    }
}

/// Whether a single server's answer says what a cluster's should be: not with numbers of clients and databases.
fn is_comparable(words: &[String]) -> bool {
    match words[0].to_uppercase().as_str() {
        "HELLO" => words.len() > 1,
        // How many there are, and who is connected, is each one's own.
        "COMMAND" | "CLIENT" => words.len() > 2,
        "SELECT" => words.get(1).is_none_or(|database| !database.parse::<u8>().is_ok_and(|number| number > 0)),
        "COPY" => !words.iter().any(|word| word == "DB") || !words.iter().any(|word| word == "1"),
        _ => true,
    }
}

/// Whether a command may be sent: a plain server would take a word for a key where the grammar lost one.
fn stays_in_slot(words: &[String], tag: &str) -> bool {
    let name = words[0].to_lowercase();
    let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let mut frame = Vec::new();
    slotway::resp::encode::request(&mut frame, &args);
    let mut spans = slotway::resp::request::Args::default();
    let limits = slotway::resp::request::Limits { args: 1000, bulk: 1 << 20, frame: 1 << 20, unauthenticated: false };
    let step = slotway::resp::request::Decoder::default().step(&frame, &mut spans, &limits);
    let Ok(slotway::resp::request::Step::Request { used, inline }) = step else { return false };
    let request = spans.request(&frame, used, inline);
    let Some(spec) = slotway::command::lookup(name.as_bytes()).and_then(|spec| spec.resolve(&request)) else {
        return true;
    };
    let mut inside = true;
    let prefix = format!("{{{tag}}}");
    let found = slotway::command::keys::each_key(spec, &request, |at| {
        inside &= words.get(at).is_some_and(|word| word.starts_with(&prefix));
    });
    found.is_err() || inside
}

fn sorted(reply: &Reply) -> Vec<String> {
    let crate::harness::Value::Many(kind, items) = &reply.value else { return vec![reply.text()] };
    let mut items: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
    items.sort();
    items.push(format!("{kind}"));
    items
}

fn shown(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")
}

/// Commands of one family in one protocol; gives what differed.
fn family(between: [SocketAddr; 2], name: &str, resp3: bool, count: usize, seed: u64) -> Vec<String> {
    let rules: Vec<Rule> = rules().into_iter().filter(|rule| rule.family == name).collect();
    let mut random =
        Random::new(seed ^ name.bytes().fold(u64::from(resp3), |hash, byte| hash.wrapping_mul(31) + u64::from(byte)));
    let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
    let [mut through, mut single] = between.map(connect);
    let mut differ = Vec::new();
    let mut history: Vec<String> = Vec::new();
    for n in 0..count {
        let tag = format!("d{name}{resp3}{}", n / 150);
        let rule = &rules[random.below(rules.len())];
        let mut filler = Filler { random: &mut random, tag: tag.clone() };
        let mut words = filler.fill(rule.line);
        if !rule.any_order {
            // Without its count a command may draw by lot.
            filler.spoil(&mut words);
        }
        if !is_comparable(&words) || !stays_in_slot(&words, &tag) {
            continue;
        }
        if n % 150 == 0 {
            history.clear();
            // What is open is in the slot of the round before.
            for client in [&mut through, &mut single] {
                for line in ["DISCARD", "UNWATCH"] {
                    let _ = client.line(line);
                }
            }
        }
        history.push(shown(&words));
        let (answer, expected) = (through.call(&words), single.call(&words));
        let same = answer.raw == expected.raw || (rule.any_order && sorted(&answer) == sorted(&expected));
        if !same {
            let before = history[history.len().saturating_sub(4)..].join("; ");
            differ.push(format!("{before}\n    proxy:  {answer:?}\n    server: {expected:?}"));
        }
    }
    differ
}

/// Commands of every family in both protocols, `count` of each; gives some of what differed.
pub(crate) fn differences(through: SocketAddr, single: SocketAddr, count: usize, seed: u64) -> Vec<String> {
    let mut names: Vec<String> = rules().into_iter().map(|rule| rule.family).collect();
    names.dedup();
    let mut differ = Vec::new();
    for name in &names {
        for resp3 in [false, true] {
            let found = family([through, single], name, resp3, count, seed);
            differ.extend(found.into_iter().take(6).map(|what| format!("{name}, RESP3 {resp3}: {what}")));
        }
    }
    tell(&format!("{} commands in {} families, LIVE_SEED={seed}", 2 * count * names.len(), names.len()));
    differ
}

#[test]
fn generated_commands_are_answered_as_by_a_single_server() {
    if direct() {
        return;
    }
    let seed = Random::seed();
    let count = if long() { 30_000 } else { 1_200 };
    let differ = differences(proxy().addr(), plain().addr(), count, seed);
    assert!(differ.is_empty(), "LIVE_SEED={seed}: {} differ:\n{}", differ.len(), differ.join("\n"));
}
