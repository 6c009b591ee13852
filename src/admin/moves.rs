//! Slots on the move, as their owners tell: only they know.
//!
//! Asked for while somebody looks at the status, and not otherwise.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::Admin;
use super::status::Migration;
use crate::cluster::dial::Conversation;
use crate::cluster::roster::{self, Member};
use crate::net::Addr;
use crate::resp::Proto;

/// How often the owners are asked.
const PACE: Duration = Duration::from_secs(1);
/// For how long after a look at the status.
const WATCHED: Duration = Duration::from_secs(5);

/// Slots on the move: who gives each away, who gets it.
#[derive(Default)]
pub(super) struct Moves {
    slots: BTreeMap<u16, (String, String)>,
}

impl Moves {
    /// The moves, neighbouring slots of the same pair together.
    pub(super) fn list(&self) -> Vec<Migration> {
        let mut list: Vec<Migration> = Vec::new();
        for (&slot, (from, to)) in &self.slots {
            match list.last_mut() {
                Some(last) if last.last + 1 == slot && last.from == *from && last.to == *to => last.last = slot,
                _ => list.push(Migration { first: slot, last: slot, from: from.clone(), to: to.clone() }),
            }
        }
        list
    }

    /// What one node says of its own slots; `addr_of` tells where a node is.
    fn note(&mut self, own: &Member, addr_of: impl Fn(&str) -> String) {
        for (slot, to) in &own.migrating {
            self.slots.insert(*slot, (own.addr.clone(), addr_of(to)));
        }
        for (slot, from) in &own.importing {
            self.slots.entry(*slot).or_insert_with(|| (addr_of(from), own.addr.clone()));
        }
    }
}

/// Asks while somebody looks, for as long as it is polled.
pub(super) async fn watch(admin: Rc<Admin>) {
    loop {
        tokio::time::sleep(PACE).await;
        if admin.watched.get().is_some_and(|at| at.elapsed() < WATCHED) {
            let moves = ask_all(&admin).await;
            *admin.moves.borrow_mut() = moves;
        } else {
            admin.moves.take();
        }
    }
}

async fn ask_all(admin: &Admin) -> Moves {
    let map = admin.parts.process.map.load_full();
    let mut moves = Moves::default();
    for (_, node) in map.primaries().filter(|(_, node)| node.online) {
        let Some(members) = ask(admin, &node.addr).await else { continue };
        let addr_of = |id: &str| {
            let known = members.iter().find(|member| member.id == id);
            known.map_or_else(|| id.to_owned(), |member| member.addr.clone())
        };
        if let Some(own) = members.iter().find(|member| member.is("myself")) {
            // Under the address of the map, which the rest of the status has too.
            moves.note(&Member { addr: node.addr.to_string(), ..own.clone() }, addr_of);
        }
    }
    moves
}

async fn ask(admin: &Admin, addr: &Addr) -> Option<Vec<Member>> {
    let parts = &admin.parts;
    let access = parts.access.load_full();
    let asking = async {
        let credentials = access.credentials.as_ref();
        let mut node = Conversation::open(&*parts.net, addr, credentials, Proto::Resp2, access.timeout).await.ok()?;
        let answer = node.ask(&[b"CLUSTER", b"NODES"]).await.ok()?;
        answer.text().map(roster::read)
    };
    tokio::time::timeout(access.timeout, asking).await.ok()?
}
