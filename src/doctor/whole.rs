//! The cluster as a whole: is every slot served, do the nodes agree, would a node be missed.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::node::View;
use super::reach::Entry;
use crate::cluster::roster::Member;
use crate::cluster::slot::SLOTS;

/// Who owns which slot, by identifiers; of each slot the owner, if there is one.
fn owners(members: &[Member]) -> Vec<Option<&str>> {
    let mut owners = vec![None; usize::from(SLOTS)];
    for member in members {
        for &(first, last) in &member.slots {
            if let Some(range) = owners.get_mut(usize::from(first)..=usize::from(last)) {
                range.fill(Some(member.id.as_str()));
            }
        }
    }
    owners
}

/// Tells what is wrong with all of it.
pub(super) fn judge(entry: &Entry, seen: &[View], findings: &mut Findings<'_>) {
    coverage(entry, findings);
    agreement(seen, findings);
    moves(seen, findings);
    replicas(entry, findings);
    same(seen, |view| &view.version, "run different versions", "finish the upgrade: clients see the oldest", findings);
    same(
        seen,
        |view| &view.policy,
        "have different values of maxmemory-policy",
        "set the same on every node: CONFIG SET maxmemory-policy",
        findings,
    );
    for view in seen.iter().filter(|view| view.state == "fail") {
        let what = format!("{} says that the cluster is down", view.addr);
        findings.bad(what, "slots without an owner or a majority of primaries are missing: see the other findings");
    }
}

fn coverage(entry: &Entry, findings: &mut Findings<'_>) {
    let owners = owners(&entry.members);
    let gaps = ranges(owners.iter().map(Option::is_none));
    let failed: BTreeSet<&str> =
        entry.members.iter().filter(|member| member.is("fail")).map(|member| member.id.as_str()).collect();
    let dead = ranges(owners.iter().map(|owner| owner.is_some_and(|id| failed.contains(id))));
    if gaps.is_empty() {
        findings.good(format!("all {SLOTS} slots have an owner"));
    } else {
        let what = format!("nobody owns the slots {}", gaps.join(", "));
        findings.bad(what, format!("redis-cli --cluster fix {}, or assign them with CLUSTER ADDSLOTS", entry.seed));
    }
    if !dead.is_empty() {
        let what = format!("the owner of the slots {} has failed", dead.join(", "));
        findings.bad(what, "start it again, or make a replica take over: CLUSTER FAILOVER TAKEOVER at the replica");
    }
}

fn agreement(seen: &[View], findings: &mut Findings<'_>) {
    let Some(first) = seen.first() else { return };
    let expected = owners(&first.members);
    for view in seen.iter().skip(1) {
        let own = owners(&view.members);
        let differ = ranges(own.iter().zip(&expected).map(|(one, other)| one != other));
        if !differ.is_empty() {
            let what = format!("{} and {} disagree on the slots {}", first.addr, view.addr, differ.join(", "));
            let advice =
                "wait some seconds and look again: if it stays, the nodes do not hear each other (the bus port)";
            findings.warn(what, advice);
        }
        let deaf = view.members.iter().filter(|other| !other.linked && !other.is("myself") && !other.is("fail"));
        let deaf: Vec<&str> = deaf.map(|member| member.addr.as_str()).collect();
        if !deaf.is_empty() {
            let what = format!("{} has no link to {}", view.addr, deaf.join(", "));
            findings.warn(what, "open the cluster's bus port between the nodes (the port of clients plus 10000)");
        }
    }
}

fn moves(seen: &[View], findings: &mut Findings<'_>) {
    for view in seen {
        let Some(own) = view.members.iter().find(|member| member.is("myself")) else { continue };
        let slots =
            |list: &[(u16, String)]| list.iter().map(|(slot, _)| slot.to_string()).collect::<Vec<_>>().join(" ");
        for (list, word) in [(&own.migrating, "gives away"), (&own.importing, "takes in")] {
            if !list.is_empty() {
                let what = format!("{} {word} the slots {}", view.addr, slots(list));
                let advice = format!("fine while a reshard runs; if none does: redis-cli --cluster fix {}", view.addr);
                findings.note(what, advice);
            }
        }
    }
}

fn replicas(entry: &Entry, findings: &mut Findings<'_>) {
    let primaries = || entry.members.iter().filter(|member| !member.slots.is_empty());
    let has_replica = |primary: &&Member| {
        let mine = |member: &&Member| member.primary.as_deref() == Some(primary.id.as_str()) && !member.is("fail");
        entry.members.iter().any(|member| mine(&member))
    };
    let alone: Vec<&str> =
        primaries().filter(|primary| !has_replica(primary)).map(|member| member.addr.as_str()).collect();
    if !alone.is_empty() {
        let what = format!("no replica could take over from {}", alone.join(", "));
        findings.note(what, "if this is no cache: add replicas with redis-cli --cluster add-node --cluster-slave");
    }
    let count = primaries().count();
    if (1..3).contains(&count) {
        let what = format!("{count} primaries have no majority when one fails: nobody can be elected");
        findings.note(what, "three primaries are the least that fail over by themselves");
    }
}

/// Tells when the nodes do not all have the same.
fn same(seen: &[View], of: fn(&View) -> &String, what: &str, advice: &str, findings: &mut Findings<'_>) {
    let mut by_value = BTreeMap::<&str, Vec<String>>::new();
    for view in seen.iter().filter(|view| !of(view).is_empty()) {
        by_value.entry(of(view)).or_default().push(view.addr.to_string());
    }
    if by_value.len() > 1 {
        let groups = by_value.iter().map(|(value, addrs)| format!("{value} ({})", addrs.join(", ")));
        findings.warn(format!("the nodes {what}: {}", groups.collect::<Vec<_>>().join(", ")), advice);
    }
}

/// The slots for which something is so, as ranges.
fn ranges(so: impl Iterator<Item = bool>) -> Vec<String> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (slot, _) in so.enumerate().filter(|(_, so)| *so) {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == slot => *last = slot,
            _ => found.push((slot, slot)),
        }
    }
    let show =
        |(first, last): (usize, usize)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    found.into_iter().map(show).collect()
}
