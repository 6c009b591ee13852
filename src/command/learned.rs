//! Commands that the table does not know, read from what a node's `COMMAND` tells: those of modules and of newer
//! servers.
//!
//! A row that was learned is like one of the table: where its keys stand, what it is like, where it goes. Names and
//! rows stay for as long as the process runs, each once, so that they can be passed around as those of the table
//! are; there is a limit to how many. Who asks nodes, and when, is left to `cluster`.

use std::sync::{Mutex, PoisonError};

use super::told::{Begin, Find, KeySpec};
use super::{Flags, Keys, Merge, Pin, Plan, Refusal, Spec, lookup};
use crate::resp::value::Value;

/// So many rows are learned at most, subcommands included.
const MAX_ROWS: usize = 4096;
/// A longer name, or word of a rule, is not learned.
const MAX_NAME: usize = 64;
/// The place of a row that is in no table.
const NO_INDEX: u16 = u16::MAX;

/// What was learned from all nodes.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// In the order of their names.
    rows: Vec<&'static Row>,
}

/// A command that was learned.
#[derive(Debug)]
pub struct Row {
    /// What is gone by.
    pub spec: &'static Spec,
    /// The name as `COMMAND` tells it.
    pub name: &'static str,
    /// Its flags, those too that the proxy does not know.
    pub flags: Vec<&'static str>,
    /// First key, last key and step.
    pub legacy: [i64; 3],
    /// Its categories, each with its `@`.
    pub categories: Vec<&'static str>,
    /// For clients of a cluster.
    pub tips: Vec<&'static str>,
    /// Where its keys stand and what happens to them.
    pub keys: Vec<KeySpec>,
    /// Its subcommands, in the order of those of `spec`.
    pub subs: Vec<Self>,
}

impl Learned {
    /// What these replies to `COMMAND` tell beyond the table; of two that tell of one command the first counts.
    #[must_use]
    pub fn new(told: impl IntoIterator<Item = Vec<&'static Row>>) -> Self {
        let mut rows: Vec<&'static Row> = told.into_iter().flatten().collect();
        // A stable sort: the first stays the first.
        rows.sort_by_key(|row| row.name);
        rows.dedup_by_key(|row| row.name);
        Self { rows }
    }

    /// The row of a command, its name in any case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&'static Row> {
        let name = name.to_ascii_lowercase();
        let at = self.rows.binary_search_by(|row| row.name.as_bytes().cmp(&name)).ok()?;
        self.rows.get(at).copied()
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> {
        self.rows.iter().copied()
    }

    /// Whether another says the same.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let same = |(one, other): (&&'static Row, &&'static Row)| std::ptr::eq(*one, *other);
        self.rows.len() == other.rows.len() && self.rows.iter().zip(&other.rows).all(same)
    }
}

/// The rows of a reply to `COMMAND` that the table does not have.
#[must_use]
pub fn beyond_the_table(reply: &Value) -> Vec<&'static Row> {
    let is_new = |row: &&Value| {
        let name = row.array().and_then(<[Value]>::first).and_then(Value::text);
        name.is_some_and(|name| lookup(name.as_bytes()).is_none())
    };
    reply.array().unwrap_or_default().iter().filter(is_new).filter_map(keep).collect()
}

/// The row as one that stays. The same row is kept once; `None` when too many are kept, or if it makes no sense.
fn keep(row: &Value) -> Option<&'static Row> {
    static KEPT: Mutex<Vec<(Value, &'static Row)>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, known)) = kept.iter().find(|(known, _)| known == row) {
        return Some(known);
    }
    let so_far: usize = kept.iter().map(|(_, row)| 1 + row.subs.len()).sum();
    let subs = row.array()?.get(9).and_then(Value::array).map_or(0, <[Value]>::len);
    if so_far + 1 + subs > MAX_ROWS {
        return None;
    }
    let (spec, made) = read(row, None)?;
    let made: &'static Row = Box::leak(Box::new(made(Box::leak(Box::new(spec)))));
    kept.push((row.clone(), made));
    Some(made)
}

/// What is left to do when a row's specification has found its place.
type Made = Box<dyn FnOnce(&'static Spec) -> Row>;

/// Reads one element of the answer to `COMMAND`.
fn read(row: &Value, parent: Option<&'static str>) -> Option<(Spec, Made)> {
    let fields = row.array()?;
    let words = |at: usize| words_of(fields.get(at));
    let full = fields.first()?.text()?.to_ascii_lowercase();
    // A subcommand is told with its container.
    let name = full.rsplit('|').next().unwrap_or_default();
    if name.is_empty() || full.len() > MAX_NAME {
        return None;
    }
    let arity = fields.get(1)?.int()?.clamp(i64::from(i8::MIN), i64::from(i8::MAX)) as i8;
    let (full, name) = (leak(&full), leak(name));
    let (flags, categories, tips) = (words(2), words(6), words(7));
    let known = flags.iter().fold(Flags::NONE, |known, word| {
        Flags::NAMES.iter().find(|(_, name)| name == word).map_or(known, |(flag, _)| known.or(*flag))
    });
    let place = |at: usize| fields.get(at).and_then(Value::int).unwrap_or(0);
    let legacy = [place(3), place(4), place(5)];
    let specs: Vec<KeySpec> = list(fields.get(8)).iter().filter_map(key_spec).collect();
    let mut keys: Vec<Keys> = specs.iter().filter_map(|spec| rule(spec.begin, spec.find)).collect();
    if keys.is_empty() {
        let last = if legacy[1] < 0 { legacy[1] } else { legacy[1] - legacy[0] };
        keys.extend(rule(Begin::Index(legacy[0]), Find::Range(last, legacy[2], 0)));
    }
    let plan = plan(known, &keys, &categories, &tips);
    let subs = list(fields.get(9)).iter().filter_map(|sub| read(sub, Some(name)));
    let (sub_specs, sub_rows): (Vec<Spec>, Vec<Made>) = subs.unzip();
    let subs: &'static [Spec] = Vec::leak(sub_specs);
    let spec = Spec { name, parent, arity, keys: Vec::leak(keys), flags: known, plan, subs, index: NO_INDEX };
    let made = move |spec| {
        let subs = subs.iter().zip(sub_rows).map(|(spec, made)| made(spec)).collect();
        Row { spec, name: full, flags, legacy, categories, tips, keys: specs, subs }
    };
    Some((spec, Box::new(made)))
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::array).unwrap_or_default()
}

/// The texts of a list; none that is longer than texts of commands are.
fn words_of(value: Option<&Value>) -> Vec<&'static str> {
    list(value).iter().filter_map(Value::text).filter(|word| word.len() <= MAX_NAME).map(leak).collect()
}

fn key_spec(spec: &Value) -> Option<KeySpec> {
    let (begin, find) = (spec.field("begin_search")?, spec.field("find_keys")?);
    let number = |of: &Value, name: &str| of.field("spec").and_then(|spec| spec.field(name)).and_then(Value::int);
    let begin = match begin.field("type")?.text()? {
        "index" => Begin::Index(number(begin, "index")?),
        "keyword" => {
            let word = begin.field("spec")?.field("keyword")?.text().filter(|word| word.len() <= MAX_NAME)?;
            Begin::Keyword(leak(word), number(begin, "startfrom")?)
        }
        _ => Begin::Unknown,
    };
    let find = match find.field("type")?.text()? {
        "range" => Find::Range(number(find, "lastkey")?, number(find, "keystep")?, number(find, "limit").unwrap_or(0)),
        "keynum" => Find::Count(number(find, "keynumidx")?, number(find, "firstkey")?, number(find, "keystep")?),
        _ => Find::Unknown,
    };
    Some(KeySpec { flags: words_of(spec.field("flags")), begin, find })
}

/// Where keys are, in the table's form where that has one; `None` if it cannot be told.
fn rule(begin: Begin, find: Find) -> Option<Keys> {
    match (begin, find) {
        (Begin::Unknown, _) | (_, Find::Unknown) => None,
        (Begin::Index(first), _) if first <= 0 => None,
        // With a wider step the table's form insists on what lies between the keys.
        (Begin::Index(first), Find::Range(last, step @ (0 | 1), limit)) if limit <= 1 => {
            let last = if last < 0 { last } else { first.saturating_add(last) };
            let (first, last) = (u8::try_from(first).ok()?, i8::try_from(last).ok()?);
            Some(Keys::Range { first, last, step: u8::try_from(step).ok()?.max(1) })
        }
        (begin, find) => Some(Keys::Told { begin, find }),
    }
}

/// What to do with such a command; see the tips in <https://redis.io/docs/latest/develop/reference/command-tips/>.
fn plan(flags: Flags, keys: &[Keys], categories: &[&str], tips: &[&str]) -> Plan {
    let tip = |name: &str| tips.iter().find_map(|tip| tip.strip_prefix(name)?.strip_prefix(':'));
    let merge = match tip("response_policy") {
        Some("agg_sum") => Merge::Sum,
        Some("agg_min") => Merge::Min,
        Some("agg_max" | "agg_logical_or") => Merge::Max,
        Some("agg_logical_and") => Merge::And,
        Some("all_succeeded") => Merge::AllOk,
        Some("one_succeeded") => Merge::OneOk,
        _ if flags.has(Flags::WRITE) => Merge::AllOk,
        _ => Merge::Concat,
    };
    // It would act on a connection that others use as well, or on one server.
    let is_shared = |category: &&str| matches!(*category, "@connection" | "@transaction" | "@pubsub");
    let is_odd = flags.has(Flags::ADMIN) || flags.has(Flags::PUBSUB) || categories.iter().any(is_shared);
    match tip("request_policy") {
        _ if is_odd => Plan::Refuse(Refusal::Admin),
        _ if flags.has(Flags::BLOCKING) => Plan::Pin(Pin::Blocking),
        Some("all_shards") => Plan::Primaries(merge),
        Some("all_nodes") => Plan::AllNodes(merge),
        Some("multi_shard") if keys == [Keys::Range { first: 1, last: -1, step: 1 }] => Plan::Split(merge),
        _ if keys.is_empty() => Plan::AnyNode,
        _ => Plan::ByKey,
    }
}

fn leak(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::keys::{each_key, tests::frame};
    use crate::resp::request::Request;

    fn texts(items: &[&str]) -> Value {
        Value::Array(items.iter().map(|item| text(item)).collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }

    /// A row as it is read: name, arity, flags, first, last, step, categories, tips, key specifications, subcommands.
    fn told(name: &str, flags: &[&str], legacy: [i64; 3], tips: &[&str], specs: &[Value]) -> Value {
        let mut row = vec![text(name), Value::Int(-2), texts(flags)];
        row.extend(legacy.map(Value::Int));
        row.extend([texts(&[]), texts(tips), Value::Array(specs.to_vec()), texts(&[])]);
        Value::Array(row)
    }

    /// A specification of keys: `index index 3`, `range lastkey 0 keystep 1 limit 0`.
    fn spec(begin: &str, find: &str) -> Value {
        let part = |words: &str| {
            let mut words = words.split(' ');
            let kind = words.next().unwrap_or_default();
            let fields = words.map(|word| word.parse().map_or_else(|_| text(word), Value::Int)).collect();
            Value::Array(vec![text("type"), text(kind), text("spec"), Value::Array(fields)])
        };
        let fields = vec![text("flags"), texts(&[]), text("begin_search"), part(begin), text("find_keys"), part(find)];
        Value::Array(fields)
    }

    fn keys_of(spec: &Spec, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let (frame, spans) = frame(&words);
        let mut found = Vec::new();
        each_key(spec, &Request::new(&frame, &spans), |at| found.push(words[at].to_owned())).expect("keys");
        found
    }

    fn learn(row: &Value) -> &'static Spec {
        keep(row).expect("a row").spec
    }

    #[test]
    fn keys_stand_where_the_specifications_say() {
        let from_end = spec("keyword keyword KEYS startfrom -2", "keynum keynumidx 0 firstkey 1 keystep 2");
        let row = learn(&told("t.end", &["readonly"], [0, 0, 0], &[], &[from_end]));
        assert_eq!(keys_of(row, "t.end x keys 2 a 1 b 2"), ["a", "b"]);
        assert_eq!(keys_of(row, "t.end x y"), Vec::<String>::new());
        let halves = spec("keyword keyword STREAMS startfrom 1", "range lastkey -1 keystep 1 limit 2");
        let row = learn(&told("t.half", &["readonly"], [0, 0, 0], &[], &[halves]));
        assert_eq!(keys_of(row, "t.half count 1 STREAMS a b 0 0"), ["a", "b"]);
        let two = [
            spec("index index 3", "range lastkey 0 keystep 1 limit 0"),
            spec("index index 5", "range lastkey -2 keystep 1 limit 0"),
        ];
        let row = learn(&told("t.two", &["write"], [0, 0, 0], &[], &two));
        assert_eq!(keys_of(row, "t.two x y k z m n last"), ["k", "m", "n"]);
        assert_eq!(row.plan, Plan::ByKey);
    }

    #[test]
    fn without_specifications_the_legacy_positions_count() {
        let row = learn(&told("t.old", &["readonly"], [2, -2, 2], &[], &[]));
        assert_eq!(keys_of(row, "t.old x a 1 b 2"), ["a", "b"]);
        assert_eq!(learn(&told("t.none", &["readonly"], [0, 0, 0], &[], &[])).plan, Plan::AnyNode);
    }

    #[test]
    fn tips_say_where_it_goes_and_how_answers_are_folded() {
        let planned =
            |name: &str, flags: &[&str], legacy, tips: &[&str]| learn(&told(name, flags, legacy, tips, &[])).plan;
        let tips = ["request_policy:all_shards", "response_policy:agg_sum"];
        assert_eq!(planned("t.sum", &["readonly"], [0, 0, 0], &tips), Plan::Primaries(Merge::Sum));
        let tips = ["request_policy:multi_shard", "response_policy:agg_sum"];
        assert_eq!(planned("t.multi", &["write"], [1, -1, 1], &tips), Plan::Split(Merge::Sum));
        assert_eq!(
            planned("t.pairs", &["write"], [1, -1, 2], &tips),
            Plan::ByKey,
            "it does not say what belongs to a key"
        );
        assert_eq!(planned("t.admin", &["admin"], [0, 0, 0], &[]), Plan::Refuse(Refusal::Admin));
        assert_eq!(planned("t.wait", &["write", "blocking"], [1, 1, 1], &[]), Plan::Pin(Pin::Blocking));
    }

    #[test]
    fn what_the_table_knows_is_left_out_and_a_row_is_kept_once() {
        let rows = [told("get", &["readonly"], [1, 1, 1], &[], &[]), told("T.New", &["readonly"], [1, 1, 1], &[], &[])];
        let told = || beyond_the_table(&Value::Array(rows.to_vec()));
        let learned = Learned::new([told()]);
        assert_eq!(learned.rows().count(), 1);
        assert!(learned.find(b"t.NEW").is_some() && learned.find(b"get").is_none());
        assert!(learned.same_as(&Learned::new([told(), told()])));
        assert!(!learned.same_as(&Learned::default()));
    }

    #[test]
    fn of_two_that_tell_of_one_command_the_first_counts() {
        let one =
            |first| beyond_the_table(&Value::Array(vec![told("t.moved", &["write"], [first, first, 1], &[], &[])]));
        let learned = Learned::new([one(2), one(1)]);
        assert_eq!(learned.find(b"T.MOVED").map(|row| row.legacy), Some([2, 2, 1]));
        assert_eq!(learned.rows().count(), 1);
    }

    #[test]
    fn nonsense_is_not_learned() {
        assert!(beyond_the_table(&Value::Array(vec![Value::Int(1), Value::Array(Vec::new()), Value::Null])).is_empty());
        assert!(beyond_the_table(&Value::Error("ERR no".to_owned())).is_empty());
        let long = told(&"x".repeat(MAX_NAME + 1), &["write"], [1, 1, 1], &[], &[]);
        assert!(beyond_the_table(&Value::Array(vec![long])).is_empty());
    }
}
