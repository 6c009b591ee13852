//! Several nodes' INFO made into one: each field by a rule of its own.
//!
//! What counts things is added up, what is a state takes the worst, what describes a server is the first one's.
//! Sections and fields stand in the order in which the first node gave them.

/// One section: its name and its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Section {
    /// Sets a field, or adds it.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// The number in a field, 0 without one.
    fn number(&self, name: &str) -> f64 {
        let field = self.fields.iter().find(|(known, _)| known == name);
        field.and_then(|(_, value)| value.parse().ok()).unwrap_or(0.0)
    }
}

/// Reads an INFO into its sections.
pub(super) fn read(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            sections.push(Section { name: name.to_owned(), fields: Vec::new() });
        } else if let (Some(section), Some((name, value))) = (sections.last_mut(), line.split_once(':')) {
            section.fields.push((name.to_owned(), value.to_owned()));
        }
    }
    sections
}

/// Folds the nodes' sections into one list.
pub(super) fn fold(nodes: &[Vec<Section>]) -> Vec<Section> {
    let mut folded: Vec<Section> = Vec::new();
    for section in nodes.iter().flatten() {
        match folded.iter_mut().find(|known| known.name == section.name) {
            None => folded.push(section.clone()),
            Some(known) => join(known, section),
        }
    }
    for section in &mut folded {
        finish(section, nodes.len());
    }
    folded
}

fn join(known: &mut Section, other: &Section) {
    let Section { name: section, fields } = known;
    for (name, value) in &other.fields {
        match fields.iter_mut().find(|(known, _)| known == name) {
            None => fields.push((name.clone(), value.clone())),
            Some((_, folded)) => *folded = joined(section, name, folded, value),
        }
    }
}

/// How two values of a field become one.
fn joined(section: &str, name: &str, one: &str, other: &str) -> String {
    match section {
        "Commandstats" | "Errorstats" | "Keyspace" => pairs(one, other, |_, a, b| a + b),
        "Latencystats" => pairs(one, other, |_, a, b| a.max(b)),
        "Server" if name == "redis_version" => lower_version(one, other).to_owned(),
        "Memory" | "Stats" | "CPU" | "Persistence" => number(name, one, other),
        _ => one.to_owned(),
    }
}

fn lower_version<'a>(one: &'a str, other: &'a str) -> &'a str {
    let key = |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    if key(other) < key(one) { other } else { one }
}

/// Fields whose largest value says most: flags, times, shares of a node.
const WORST: &[&str] = &[
    "loading",
    "async_loading",
    "current_cow_size_age",
    "current_fork_perc",
    "rdb_bgsave_in_progress",
    "rdb_last_bgsave_time_sec",
    "rdb_current_bgsave_time_sec",
    "aof_enabled",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
    "aof_last_rewrite_time_sec",
    "aof_current_rewrite_time_sec",
    "aof_rewrites_consecutive_failures",
    "module_fork_in_progress",
    "active_defrag_running",
    "expired_stale_perc",
    "latest_fork_usec",
    "number_of_cached_scripts",
    "number_of_functions",
    "number_of_libraries",
    "pubsub_channels",
    "pubsub_patterns",
    "allocator_frag_ratio",
    "allocator_rss_ratio",
    "rss_overhead_ratio",
];

fn number(name: &str, one: &str, other: &str) -> String {
    if name == "rdb_last_save_time" {
        return one.parse::<u64>().unwrap_or(0).min(other.parse().unwrap_or(0)).to_string();
    }
    if name.ends_with("_status") {
        return if one == "ok" { other } else { one }.to_owned();
    }
    let add = !WORST.contains(&name);
    if let (Ok(a), Ok(b)) = (one.parse::<i64>(), other.parse::<i64>()) {
        return if add { a.saturating_add(b) } else { a.max(b) }.to_string();
    }
    match (one.parse::<f64>(), other.parse::<f64>()) {
        (Ok(a), Ok(b)) => {
            let digits = one.split_once('.').map_or(0, |(_, digits)| digits.len());
            format!("{:.digits$}", if add { a + b } else { a.max(b) })
        }
        _ => one.to_owned(),
    }
}

/// `calls=1,usec=2`: number by number.
fn pairs(one: &str, other: &str, with: fn(&str, f64, f64) -> f64) -> String {
    let theirs: Vec<(&str, &str)> = other.split(',').filter_map(|pair| pair.split_once('=')).collect();
    let joined = one.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, value)| {
        let theirs = theirs.iter().find(|(known, _)| *known == name).map_or("0", |(_, value)| value);
        let digits = value.split_once('.').map_or(0, |(_, digits)| digits.len());
        let both = with(name, value.parse().unwrap_or(0.0), theirs.parse().unwrap_or(0.0));
        format!("{name}={both:.digits$}")
    });
    joined.collect::<Vec<_>>().join(",")
}

/// What follows from other fields, once all nodes are in.
fn finish(section: &mut Section, nodes: usize) {
    match section.name.as_str() {
        "Memory" => memory(section),
        "Errorstats" => section.fields.retain(|(name, _)| {
            // One server would not have sent its clients elsewhere.
            !["errorstat_MOVED", "errorstat_ASK", "errorstat_TRYAGAIN", "errorstat_CROSSSLOT"].contains(&name.as_str())
        }),
        "Commandstats" => section.fields.iter_mut().for_each(|(_, value)| *value = per_call(value)),
        "Keyspace" => section.fields.iter_mut().for_each(|(_, value)| *value = mean_ttl(value, nodes)),
        _ => {}
    }
}

fn memory(section: &mut Section) {
    let sums: Vec<(String, f64)> = section
        .fields
        .iter()
        .filter_map(|(name, _)| name.strip_suffix("_human").map(|plain| (name.clone(), section.number(plain))))
        .collect();
    for (name, bytes) in sums {
        section.set(&name, human(bytes));
    }
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let (used, peak, rss) =
        (section.number("used_memory"), section.number("used_memory_peak"), section.number("used_memory_rss"));
    let (dataset, startup) = (section.number("used_memory_dataset"), section.number("used_memory_startup"));
    if section.fields.iter().any(|(name, _)| name == "mem_fragmentation_ratio") {
        section.set("mem_fragmentation_ratio", format!("{:.2}", share(rss, used)));
        section.set("used_memory_peak_perc", format!("{:.2}%", 100.0 * share(used, peak)));
        section.set("used_memory_dataset_perc", format!("{:.2}%", 100.0 * share(dataset, used - startup)));
    }
}

/// Bytes as INFO writes them for people.
fn human(bytes: f64) -> String {
    let mut value = bytes;
    for unit in ["B", "K", "M", "G", "T"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value:.0}B") } else { format!("{value:.2}{unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.2}P")
}

fn per_call(value: &str) -> String {
    let field = |wanted: &str| {
        let mut pairs = value.split(',').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == wanted).and_then(|(_, value)| value.parse::<f64>().ok()).unwrap_or(0.0)
    };
    let calls = field("calls");
    let mean = if calls > 0.0 { field("usec") / calls } else { 0.0 };
    let pair = |pair: &str| match pair.split_once('=') {
        Some(("usec_per_call", _)) => format!("usec_per_call={mean:.2}"),
        _ => pair.to_owned(),
    };
    value.split(',').map(pair).collect::<Vec<_>>().join(",")
}

/// The sum of the nodes' mean times to live, made a mean again; near enough, since slots spread keys evenly.
fn mean_ttl(value: &str, nodes: usize) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some(("avg_ttl", sum)) => format!("avg_ttl={}", sum.parse::<u64>().unwrap_or(0) / nodes.max(1) as u64),
        _ => pair.to_owned(),
    };
    value.split(',').map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(nodes: &[&str]) -> String {
        let nodes: Vec<Vec<Section>> = nodes.iter().map(|text| read(text)).collect();
        let lines = fold(&nodes).into_iter().flat_map(|section| {
            let fields = section.fields.into_iter().map(|(name, value)| format!("{name}:{value}"));
            std::iter::once(section.name).chain(fields).collect::<Vec<_>>()
        });
        lines.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn counts_are_added_and_states_take_the_worst() {
        let one =
            "# Stats\r\nkeyspace_hits:3\r\nlatest_fork_usec:7\r\n\r\n# Persistence\r\nloading:0\r\nx_status:ok\r\n";
        let two =
            "# Stats\r\nkeyspace_hits:4\r\nlatest_fork_usec:2\r\n\r\n# Persistence\r\nloading:1\r\nx_status:err\r\n";
        let expected = "Stats keyspace_hits:7 latest_fork_usec:7 Persistence loading:1 x_status:err";
        assert_eq!(folded(&[one, two]), expected);
    }

    #[test]
    fn lists_of_numbers_are_folded_number_by_number() {
        let one = "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=100\r\n# Commandstats\r\n\
                   cmdstat_get:calls=1,usec=2,usec_per_call=2.00,rejected_calls=0,failed_calls=0\r\n";
        let two = "# Keyspace\r\ndb0:keys=4,expires=0,avg_ttl=0\r\n# Commandstats\r\n\
                   cmdstat_get:calls=3,usec=10,usec_per_call=3.33,rejected_calls=0,failed_calls=1\r\n\
                   cmdstat_set:calls=1,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n";
        let text = folded(&[one, two, "# Keyspace\r\n"]);
        assert!(text.contains("db0:keys=7,expires=1,avg_ttl=33"), "{text}");
        assert!(
            text.contains("cmdstat_get:calls=4,usec=12,usec_per_call=3.00,rejected_calls=0,failed_calls=1"),
            "{text}"
        );
        assert!(text.contains("cmdstat_set:calls=1"), "{text}");
    }

    #[test]
    fn what_a_server_is_is_the_first_ones_and_the_lowest_version() {
        let text =
            folded(&["# Server\r\nredis_version:7.2.1\r\nos:a\r\n", "# Server\r\nredis_version:7.0.15\r\nos:b\r\n"]);
        assert_eq!(text, "Server redis_version:7.0.15 os:a");
    }

    #[test]
    fn memory_for_people_follows_the_sums() {
        let one = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nused_memory_rss:2097152\r\nmem_fragmentation_ratio:9.0\r\n";
        let text = folded(&[one, one]);
        assert!(text.contains("used_memory:2097152 used_memory_human:2.00M"), "{text}");
        assert!(text.contains("mem_fragmentation_ratio:2.00"), "{text}");
    }
}
