//! Commands that the table does not know, read from what a node's `COMMAND` tells: those of modules and of newer
//! servers.
//!
//! A row that was learned is like one of the table: where its keys stand, what it is like, where it goes. Names and
//! rows stay for as long as the process runs, each once, so that they can be passed around as those of the table
//! are; there is a limit to how many.

use std::sync::{Mutex, PoisonError};

use super::told::{Begin, Find};
use super::{Flags, Keys, Merge, Pin, Plan, Refusal, Spec, lookup};
use crate::resp::value::Value;

/// So many rows are learned at most, subcommands included.
const MAX_ROWS: usize = 4096;
/// A longer name, or word of a rule, is not learned.
const MAX_NAME: usize = 64;
/// The place of a row that is in no table.
const NO_INDEX: u16 = u16::MAX;

/// What was learned from all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// What told the nodes apart that were asked: their version and modules.
    sources: Vec<String>,
    /// In the order of their names.
    rows: Vec<&'static Spec>,
}

impl Learned {
    /// Whether a node of this version with these modules has been asked.
    #[must_use]
    pub fn knows(&self, source: &str) -> bool {
        self.sources.iter().any(|known| known == source)
    }

    /// The row of a command, its name in any case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&'static Spec> {
        self.rows.iter().find(|spec| spec.name.as_bytes().eq_ignore_ascii_case(name)).copied()
    }

    /// With what a node of this source answered to `COMMAND`. What the table knows is left out, and so is what was
    /// learned before from another node.
    #[must_use]
    pub fn with(&self, source: &str, reply: &Value) -> Self {
        let mut learned = self.clone();
        learned.sources.push(source.to_owned());
        let rows = reply.array().unwrap_or_default().iter().filter_map(read);
        for row in rows.filter(|row| lookup(row.name.as_bytes()).is_none()) {
            if learned.find(row.name.as_bytes()).is_none()
                && let Some(row) = keep(row)
            {
                learned.rows.push(row);
            }
        }
        learned.rows.sort_unstable_by_key(|spec| spec.name);
        learned
    }

    /// How many commands.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A row as it is read, before it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    name: String,
    arity: i8,
    flags: Flags,
    keys: Vec<Rule>,
    plan: Plan,
    subs: Vec<Self>,
}

/// [`Keys`] with its own words.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Fixed(Keys),
    Keyword { word: String, from: i64, find: Find },
}

/// Reads one element of the answer to `COMMAND`.
#[must_use]
pub fn read(row: &Value) -> Option<Row> {
    let fields = row.array()?;
    let words = |at: usize| -> Vec<&str> {
        fields.get(at).and_then(Value::array).unwrap_or_default().iter().filter_map(Value::text).collect()
    };
    let name = fields.first()?.text()?.to_ascii_lowercase();
    // A subcommand is told with its container.
    let name = name.rsplit('|').next().unwrap_or_default().to_owned();
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    let arity = fields.get(1)?.int()?.clamp(i64::from(i8::MIN), i64::from(i8::MAX)) as i8;
    let flags = words(2).into_iter().fold(Flags::NONE, |flags, word| {
        Flags::NAMES.iter().find(|(_, name)| *name == word).map_or(flags, |(flag, _)| flags.or(*flag))
    });
    let specs = fields.get(8).and_then(Value::array).unwrap_or_default();
    let mut keys: Vec<Rule> = specs.iter().filter_map(rule).collect();
    if keys.is_empty() {
        let place = |at: usize| fields.get(at).and_then(Value::int).unwrap_or(0);
        keys.extend(fixed(place(3), Find::Range(by_first(place(3), place(4)), place(5), 0)));
    }
    let subs = fields.get(9).and_then(Value::array).unwrap_or_default().iter().filter_map(read).collect();
    let plan = plan(flags, &keys, &words(7));
    Some(Row { name, arity, flags, keys, plan, subs })
}

/// The last key as rules count it: from the first one on, or from the end.
const fn by_first(first: i64, last: i64) -> i64 {
    if last < 0 { last } else { last - first }
}

/// A rule that begins at an argument; in the table's form where that has one.
fn fixed(first: i64, find: Find) -> Option<Rule> {
    let first = u8::try_from(first).ok().filter(|&first| first > 0)?;
    let keys = match find {
        Find::Range(last, step, limit) if limit <= 1 => {
            let last = if last < 0 { last } else { i64::from(first) + last };
            Keys::Range { first, last: i8::try_from(last).ok()?, step: u8::try_from(step).ok()?.max(1) }
        }
        Find::Unknown => return None,
        find => Keys::Told { begin: Begin::Index(i64::from(first)), find },
    };
    Some(Rule::Fixed(keys))
}

fn rule(spec: &Value) -> Option<Rule> {
    let (begin, find) = (spec.field("begin_search")?, spec.field("find_keys")?);
    let number = |of: &Value, name: &str| of.field("spec").and_then(|spec| spec.field(name)).and_then(Value::int);
    let find = match find.field("type")?.text()? {
        "range" => Find::Range(number(find, "lastkey")?, number(find, "keystep")?, number(find, "limit").unwrap_or(0)),
        "keynum" => Find::Count(number(find, "keynumidx")?, number(find, "firstkey")?, number(find, "keystep")?),
        _ => return None,
    };
    match begin.field("type")?.text()? {
        "index" => fixed(number(begin, "index")?, find),
        "keyword" => {
            let word = begin.field("spec")?.field("keyword")?.text().filter(|word| word.len() <= MAX_NAME)?.to_owned();
            Some(Rule::Keyword { word, from: number(begin, "startfrom")?, find })
        }
        _ => None,
    }
}

/// What to do with such a command; see the tips in <https://redis.io/docs/latest/develop/reference/command-tips/>.
fn plan(flags: Flags, keys: &[Rule], tips: &[&str]) -> Plan {
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
    let all_the_rest = [Rule::Fixed(Keys::Range { first: 1, last: -1, step: 1 })];
    match tip("request_policy") {
        _ if flags.has(Flags::ADMIN) || flags.has(Flags::PUBSUB) => Plan::Refuse(Refusal::Admin),
        _ if flags.has(Flags::BLOCKING) && !keys.is_empty() => Plan::Pin(Pin::Blocking),
        Some("all_shards") => Plan::Primaries(merge),
        Some("all_nodes") => Plan::AllNodes(merge),
        Some("multi_shard") if keys == all_the_rest => Plan::Split(merge),
        _ if keys.is_empty() => Plan::AnyNode,
        _ => Plan::ByKey,
    }
}

/// The row as one that stays; `None` when too many were learned. The same row is kept once.
pub fn keep(row: Row) -> Option<&'static Spec> {
    static KEPT: Mutex<Vec<(Row, &'static Spec)>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, spec)) = kept.iter().find(|(known, _)| *known == row) {
        return Some(spec);
    }
    let so_far: usize = kept.iter().map(|(row, _)| 1 + row.subs.len()).sum();
    if so_far + 1 + row.subs.len() > MAX_ROWS {
        return None;
    }
    let spec: &'static Spec = Box::leak(Box::new(made(&row, None)));
    kept.push((row, spec));
    Some(spec)
}

fn made(row: &Row, parent: Option<&'static str>) -> Spec {
    let name: &'static str = leak(&row.name);
    let keys: Vec<Keys> = row
        .keys
        .iter()
        .map(|rule| match rule {
            Rule::Fixed(keys) => *keys,
            Rule::Keyword { word, from, find } => Keys::Told { begin: Begin::Keyword(leak(word), *from), find: *find },
        })
        .collect();
    let subs: Vec<Spec> = row.subs.iter().map(|sub| made(sub, Some(name))).collect();
    Spec {
        name,
        parent,
        arity: row.arity,
        keys: Vec::leak(keys),
        flags: row.flags,
        plan: row.plan,
        subs: Vec::leak(subs),
        index: NO_INDEX,
    }
}

fn leak(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::keys::{each_key, tests::frame};
    use crate::resp::Proto;
    use crate::resp::request::Request;

    /// A row as a server writes it, in RESP2: name, flags, first, last, step, tips, key specifications.
    fn told(name: &str, flags: &[&str], legacy: [i64; 3], tips: &[&str], specs: &[&str]) -> Value {
        let list = |items: &[&str]| {
            let items: String = items.iter().map(|item| format!("+{item}\r\n")).collect();
            format!("*{}\r\n{items}", items.matches("\r\n").count())
        };
        let [first, last, step] = legacy;
        let row = format!(
            "*10\r\n+{name}\r\n:-2\r\n{}:{first}\r\n:{last}\r\n:{step}\r\n*0\r\n{}*{}\r\n{}*0\r\n",
            list(flags),
            list(tips),
            specs.len(),
            specs.concat()
        );
        Value::read(row.as_bytes(), Proto::Resp2, 1 << 20).unwrap().unwrap().0
    }

    fn spec(begin: &str, find: &str) -> String {
        let part = |text: &str| {
            let mut words = text.split(' ');
            let kind = words.next().unwrap();
            let rest: Vec<&str> = words.collect();
            let fields: String = rest
                .chunks(2)
                .map(|pair| match pair[1].parse::<i64>() {
                    Ok(number) => format!("+{}\r\n:{number}\r\n", pair[0]),
                    Err(_) => format!("+{}\r\n+{}\r\n", pair[0], pair[1]),
                })
                .collect();
            format!("*4\r\n+type\r\n+{kind}\r\n+spec\r\n*{}\r\n{fields}", rest.len())
        };
        format!("*6\r\n+flags\r\n*0\r\n+begin_search\r\n{}+find_keys\r\n{}", part(begin), part(find))
    }

    fn keys_of(spec: &Spec, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let (frame, spans) = frame(&words);
        let mut found = Vec::new();
        each_key(spec, &Request::new(&frame, &spans), |at| found.push(words[at].to_owned())).expect("keys");
        found
    }

    fn learn(row: &Value) -> &'static Spec {
        keep(read(row).expect("a row")).expect("room")
    }

    #[test]
    fn keys_stand_where_the_specifications_say() {
        let from_end = spec("keyword keyword KEYS startfrom -2", "keynum keynumidx 0 firstkey 1 keystep 2");
        let row = learn(&told("t.end", &["readonly"], [0, 0, 0], &[], &[&from_end]));
        assert_eq!(keys_of(row, "t.end x keys 2 a 1 b 2"), ["a", "b"]);
        assert_eq!(keys_of(row, "t.end x y"), Vec::<String>::new());
        let halves = spec("keyword keyword STREAMS startfrom 1", "range lastkey -1 keystep 1 limit 2");
        let row = learn(&told("t.half", &["readonly"], [0, 0, 0], &[], &[&halves]));
        assert_eq!(keys_of(row, "t.half count 1 STREAMS a b 0 0"), ["a", "b"]);
        let two = [spec("index index 3", "range lastkey 0 keystep 1 limit 0"), spec("index index 5", "range lastkey -2 keystep 1 limit 0")];
        let row = learn(&told("t.two", &["write"], [0, 0, 0], &[], &[&two[0], &two[1]]));
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
        let planned = |name: &str, flags: &[&str], legacy, tips: &[&str]| learn(&told(name, flags, legacy, tips, &[])).plan;
        let tips = ["request_policy:all_shards", "response_policy:agg_sum"];
        assert_eq!(planned("t.sum", &["readonly"], [0, 0, 0], &tips), Plan::Primaries(Merge::Sum));
        let tips = ["request_policy:multi_shard", "response_policy:agg_sum"];
        assert_eq!(planned("t.multi", &["write"], [1, -1, 1], &tips), Plan::Split(Merge::Sum));
        assert_eq!(planned("t.pairs", &["write"], [1, -1, 2], &tips), Plan::ByKey, "it does not say what belongs to a key");
        assert_eq!(planned("t.admin", &["admin"], [0, 0, 0], &[]), Plan::Refuse(Refusal::Admin));
        assert_eq!(planned("t.wait", &["write", "blocking"], [1, 1, 1], &[]), Plan::Pin(Pin::Blocking));
    }

    #[test]
    fn what_the_table_knows_is_left_out_and_a_row_is_kept_once() {
        let rows = [told("get", &["readonly"], [1, 1, 1], &[], &[]), told("T.New", &["readonly"], [1, 1, 1], &[], &[])];
        let learned = Learned::default().with("7.0", &Value::Array(rows.to_vec()));
        assert_eq!(learned.len(), 1);
        assert!(learned.knows("7.0") && learned.find(b"t.NEW").is_some() && learned.find(b"get").is_none());
        let again = Learned::default().with("7.0", &Value::Array(rows.to_vec()));
        assert!(std::ptr::eq(learned.find(b"t.new").unwrap(), again.find(b"t.new").unwrap()));
        assert_eq!(learned, again);
    }

    #[test]
    fn nonsense_is_not_learned() {
        let learned = Learned::default().with("x", &Value::Array(vec![Value::Int(1), Value::Array(Vec::new()), Value::Null]));
        assert!(learned.is_empty());
        assert!(Learned::default().with("x", &Value::Error("ERR no".to_owned())).is_empty());
    }
}
