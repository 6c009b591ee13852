//! Whether a node serves the keys of a request, or who does: the rules of a 7.0 cluster.

use super::command::{Effect, Fault, Keys};
use super::map::Map;
use super::node::Turn;
use super::slot::{SLOTS, slot};

/// How the keys of a request lie.
struct Footprint {
    slot: u16,
    /// Whether there is more than one key, counted by name.
    many: bool,
    /// How many of them the node has, and lacks.
    present: usize,
    missing: usize,
}

/// Refuses the request unless this node is the one to run it.
pub(super) fn check(turn: &Turn<'_>, keys: Keys, effect: Effect) -> Result<(), Fault> {
    check_keys(turn, &keys.of(turn.args), effect)
}

/// The same for these keys.
pub(super) fn check_keys(turn: &Turn<'_>, keys: &[&Vec<u8>], effect: Effect) -> Result<(), Fault> {
    let view = turn.state.view(turn.node);
    if let Some(first) = keys.first() {
        let footprint = footprint(turn, keys, slot(first), &view)?;
        place(turn, &footprint, effect, &view)?;
    }
    // A request without keys gets here too: FLUSHALL is refused by a replica.
    if effect == Effect::Write && !view.is_primary(turn.node) {
        return Err(Fault("READONLY You can't write against a read only replica.".into()));
    }
    Ok(())
}

fn footprint(turn: &Turn<'_>, keys: &[&Vec<u8>], of: u16, view: &Map) -> Result<Footprint, Fault> {
    if view.owner(of).is_none() {
        return Err(Fault("CLUSTERDOWN Hash slot not served".into()));
    }
    if keys.iter().any(|key| slot(key) != of) {
        return Err(Fault("CROSSSLOT Keys in request don't hash to the same slot".into()));
    }
    let db = &turn.state.dbs[turn.state.nodes[turn.node].db];
    let present = keys.iter().filter(|key| db.has(key)).count();
    let many = keys.iter().any(|key| key != &keys[0]);
    Ok(Footprint { slot: of, many, present, missing: keys.len() - present })
}

fn place(turn: &Turn<'_>, keys: &Footprint, effect: Effect, view: &Map) -> Result<(), Fault> {
    let state = &*turn.state;
    if is_down(view, state.options.full_coverage) {
        return Err(Fault("CLUSTERDOWN The cluster is down".into()));
    }
    let mine = view.shard_of(turn.node);
    let owner = view.primary(keys.slot).unwrap_or(turn.node);
    let migration = state.migrations.get(&keys.slot);
    let again = || Err(Fault("TRYAGAIN Multiple keys request during rehashing of slot".into()));
    if let Some(leaving) = migration.filter(|m| owner == turn.node && m.from == mine && keys.missing > 0) {
        return if keys.present > 0 {
            again()
        } else {
            Err(elsewhere(turn, "ASK", keys, view.shards[leaving.to].primary))
        };
    }
    if migration.is_some_and(|m| m.to == mine && view.is_primary(turn.node)) && turn.asked {
        return if keys.many && keys.missing > 0 { again() } else { Ok(()) };
    }
    let reads_here = turn.session.readonly && effect == Effect::Read && view.owner(keys.slot) == Some(mine);
    if owner == turn.node || reads_here { Ok(()) } else { Err(elsewhere(turn, "MOVED", keys, owner)) }
}

/// Whether the cluster as a whole refuses to serve.
pub(super) fn is_down(view: &Map, full_coverage: bool) -> bool {
    full_coverage && (view.assigned() < usize::from(SLOTS) || view.lost() > 0)
}

fn elsewhere(turn: &Turn<'_>, word: &str, keys: &Footprint, node: usize) -> Fault {
    let (host, port) = (turn.state.endpoint(node), turn.state.nodes[node].port);
    Fault::new(format!("{word} {} {host}:{port}", keys.slot))
}
