//! A strict reader of the text format of Prometheus: it refuses whatever a scraper might refuse, and more.

use std::collections::{BTreeMap, BTreeSet};

/// One sample: its labels and its value.
pub(crate) type Sample = (BTreeMap<String, String>, f64);

/// One family.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    /// By the whole name, suffix included.
    pub(crate) samples: BTreeMap<String, Vec<Sample>>,
}

/// Reads a scrape, or says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let mut families = BTreeMap::<String, Family>::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    if !text.ends_with('\n') {
        return Err("the last line does not end".to_owned());
    }
    for line in text.lines() {
        let wrong = |why: &str| Err(format!("{why}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else { return wrong("no help") };
            if families.contains_key(name) || !is_name(name) {
                return wrong("a family twice, or no name");
            }
            name.clone_into(&mut current);
            families.insert(current.clone(), Family { help: help.to_owned(), ..Family::default() });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return wrong("no type") };
            let Some(family) = families.get_mut(name).filter(|family| name == current && family.kind.is_empty()) else {
                return wrong("a type without its help");
            };
            if !["counter", "gauge", "histogram"].contains(&kind) {
                return wrong("an unknown type");
            }
            kind.clone_into(&mut family.kind);
        } else {
            let (name, labels, value) = sample(line)?;
            let Some(family) = families.get_mut(&current) else { return wrong("a sample without a family") };
            let suffix = name.strip_prefix(current.as_str());
            let fits = match family.kind.as_str() {
                "histogram" => matches!(suffix, Some("_bucket" | "_sum" | "_count")),
                _ => suffix == Some(""),
            };
            if !fits || !seen.insert((name.clone(), labels.clone())) {
                return wrong("a sample of another family, or twice");
            }
            if value < 0.0 || !value.is_finite() {
                return wrong("no number that makes sense here");
            }
            family.samples.entry(name).or_default().push((labels, value));
        }
    }
    families.iter().try_for_each(|(name, family)| buckets(name, family))?;
    Ok(families)
}

fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64), String> {
    let wrong = || format!("no sample: {line}");
    let end = line.find(['{', ' ']).ok_or_else(wrong)?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut chars = inside.char_indices().peekable();
        loop {
            let mut label = String::new();
            while let Some((_, c)) = chars.next_if(|(_, c)| *c != '=') {
                label.push(c);
            }
            chars.next();
            if !is_name(&label) || chars.next().map(|(_, c)| c) != Some('"') {
                return Err(wrong());
            }
            let mut value = String::new();
            loop {
                match chars.next().ok_or_else(wrong)?.1 {
                    '"' => break,
                    '\\' => match chars.next().ok_or_else(wrong)?.1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        _ => return Err(wrong()),
                    },
                    c => value.push(c),
                }
            }
            if labels.insert(label, value).is_some() {
                return Err(wrong());
            }
            match chars.next().ok_or_else(wrong)? {
                (_, ',') => {}
                (at, '}') => {
                    rest = &inside[at + 1..];
                    break;
                }
                _ => return Err(wrong()),
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or_else(wrong)?;
    Ok((name.to_owned(), labels, value.parse().map_err(|_| wrong())?))
}

/// The buckets of a histogram grow, and the last one is the count.
fn buckets(name: &str, family: &Family) -> Result<(), String> {
    if family.kind != "histogram" {
        return Ok(());
    }
    let of = |suffix: &str| family.samples.get(&format!("{name}{suffix}")).cloned().unwrap_or_default();
    let mut series = BTreeMap::<_, Vec<(f64, f64)>>::new();
    for (mut labels, count) in of("_bucket") {
        let bound = labels.remove("le").ok_or_else(|| format!("{name}: a bucket without a bound"))?;
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().map_err(|_| bound)? };
        series.entry(labels).or_default().push((bound, count));
    }
    for (labels, count) in of("_count") {
        let buckets = series.get(&labels).ok_or_else(|| format!("{name}: {labels:?} has no buckets"))?;
        let grows = buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        if !grows || buckets.last() != Some(&(f64::INFINITY, count)) {
            return Err(format!("{name}: {labels:?} does not grow to its count: {buckets:?}"));
        }
    }
    if of("_sum").len() == series.len() && of("_count").len() == series.len() {
        Ok(())
    } else {
        Err(format!("{name}: a series without sum or count"))
    }
}

#[test]
fn what_a_scraper_would_refuse_is_refused() {
    let head = "# HELP x_total Of x.\n# TYPE x_total counter\n";
    assert!(read(&format!("{head}x_total 1\nx_total{{a=\"\\\"\\\\\\n\",b=\"\"}} 2.5\n")).is_ok());
    for bad in ["x_total", "x_total  1", "x_total{a=1} 1", "x_total{a=\"1\"", "x 1", "x_total -1", "x_total{a=\"1\"}1"]
    {
        assert!(read(&format!("{head}{bad}\n")).is_err(), "{bad}");
    }
    assert!(read(&format!("{head}x_total 1\nx_total 1\n")).is_err());
    assert!(read(&format!("{head}{head}")).is_err());
    let head = "# HELP h Of h.\n# TYPE h histogram\n";
    let tail = "h_sum 1\nh_count 2\n";
    assert!(read(&format!("{head}h_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"+Inf\"}} 2\n{tail}")).is_ok());
    assert!(read(&format!("{head}h_bucket{{le=\"1\"}} 3\nh_bucket{{le=\"+Inf\"}} 2\n{tail}")).is_err());
    assert!(read(&format!("{head}h_bucket{{le=\"1\"}} 1\n{tail}")).is_err());
}
