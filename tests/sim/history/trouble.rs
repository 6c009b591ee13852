//! What happens to the cluster and its network meanwhile.

use std::cell::RefCell;
use std::rc::Rc;

use slotway::demo::embedded::{Cluster, NodeId, Random, Script, slot};

use super::ops::names;
use crate::net::{Dialing, End, MemoryNet, Plan, Way};
use crate::proxy::{ms, pass};

/// Where trouble is made.
pub(super) struct Trouble {
    pub(super) cluster: Cluster,
    pub(super) net: MemoryNet,
    pub(super) random: Random,
}

impl Trouble {
    /// Makes trouble until `done`, and puts everything right in the end.
    pub(super) async fn run(mut self, done: Rc<RefCell<bool>>) {
        let slots: Vec<u16> = names().map(|key| slot(key.as_bytes())).collect();
        while !*done.borrow() {
            pass(ms(self.random.below(50))).await;
            self.one(&slots).await;
        }
        for node in self.cluster.nodes() {
            self.cluster.delay(node, ms(0));
        }
        for of in slots {
            self.cluster.finish_migration(of);
        }
    }

    async fn one(&mut self, slots: &[u16]) {
        let Self { cluster, net, random } = self;
        let of = *random.pick(slots).expect("some slots");
        let node = *random.pick(&cluster.primaries()).expect("some primaries");
        match random.below(16) {
            // A second move may not begin before the first has ended: keys would be left behind.
            0 | 1 => {
                cluster.finish_migration(of);
                cluster.move_slot(of, node);
            }
            2..=4 => {
                cluster.finish_migration(of);
                cluster.begin_migration(of, node);
                cluster.migrate_some(of, random.below(3) as usize);
            }
            5 => drop(cluster.migrate_some(of, 1)),
            6 => slots.iter().for_each(|&of| cluster.finish_migration(of)),
            7 => cluster.failover(cluster.siblings(node)[0]),
            8 => self.die(node).await,
            9 => drop(cluster.cut_connections(node)),
            10 => {
                cluster.pause(node);
                pass(ms(if random.one_in(4) { 3000 } else { random.below(200) })).await;
                cluster.resume(node);
            }
            11 => cluster.delay(node, ms(random.below(20))),
            12 => self.outage(of).await,
            13 | 14 => net.plan_once(&cluster.addr(node), ill_fated(random)),
            _ => cluster.script(node, misfortune(random)),
        }
    }

    /// A primary dies, its replica is elected, and it comes back.
    async fn die(&mut self, node: NodeId) {
        self.cluster.kill(node);
        pass(ms(self.random.below(800))).await;
        self.cluster.failover(self.cluster.siblings(node)[0]);
        pass(ms(self.random.below(200))).await;
        self.cluster.revive(node);
    }

    /// A slot has no owner for a while.
    async fn outage(&mut self, of: u16) {
        self.cluster.finish_migration(of);
        let Some(owner) = self.cluster.owner(of) else { return };
        self.cluster.unassign(of);
        pass(ms(self.random.below(300))).await;
        self.cluster.assign(of, owner);
    }
}

/// What becomes of the next connection to a node.
fn ill_fated(random: &mut Random) -> Plan {
    let after = 40 + random.below(1500) as usize;
    let how = [End::Reset, End::HalfClose, End::Blackhole][random.below(3) as usize];
    let way = Way { end: Some((after, how)), ..Way::default() };
    match random.below(6) {
        0 => Plan::dialing(Dialing::Refused),
        1 => Plan::dialing(Dialing::Late(ms(random.below(1500)))),
        2 => Plan::dialing(Dialing::Unanswered),
        3 => Plan::reading(way),
        4 => Plan::writing(way),
        _ => Plan { read: Way { fragment: 1, ..Way::default() }, ..Plan::default() },
    }
}

fn misfortune(random: &mut Random) -> Script {
    match random.below(8) {
        0 => Script::cut_unrun(),
        1 => Script::cut_after(random.below(6) as usize),
        2 => Script::hold(ms(random.below(3000))),
        3 => Script::refuse("-TRYAGAIN Multiple keys request during rehashing of slot\r\n"),
        4 => Script::refuse("-CLUSTERDOWN The cluster is down\r\n"),
        5 => Script::refuse("-READONLY You can't write against a read only replica.\r\n"),
        6 => Script::refuse("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"),
        _ => Script::refuse("-LOADING Redis is loading the dataset in memory\r\n"),
    }
}
