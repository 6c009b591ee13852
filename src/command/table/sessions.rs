//! What concerns one client's connection: greeting, identity, transactions.
//!
//! The proxy is the server here; a node never learns who the client is. `CLIENT SETINFO` and `NO-TOUCH` are younger than
//! Redis 7.0, but current clients send them.

use super::{KEYS, NONE};
use crate::command::{
    Flags,
    Pin::{Replicas, Transaction},
    Plan::{Local, Pin},
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "auth"    -2 NONE [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] Local;
    "client"  -2 NONE []                                               Local => CLIENT;
    "echo"     2 NONE [LOADING STALE FAST]                             Local;
    "hello"   -1 NONE [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] Local;
    "ping"    -1 NONE [FAST]                                           Local;
    "quit"    -1 NONE [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] Local;
    "reset"    1 NONE [NOSCRIPT LOADING STALE FAST NO_AUTH ALLOW_BUSY] Local;
    "select"   2 NONE [LOADING STALE FAST]                             Local;
    "discard"  1 NONE [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]         Pin(Transaction);
    "exec"     1 NONE [NOSCRIPT LOADING STALE SKIP_SLOWLOG]            Pin(Transaction);
    "multi"    1 NONE [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]         Pin(Transaction);
    "unwatch"  1 NONE [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]         Pin(Transaction);
    "watch"   -2 KEYS [NOSCRIPT LOADING STALE FAST ALLOW_BUSY]         Pin(Transaction);
    "wait"     3 NONE [NOSCRIPT]                                       Pin(Replicas);
};

const CLIENT: &[Spec] = rows! {
    "caching"       3 NONE [NOSCRIPT LOADING STALE]       Local;
    "getname"       2 NONE [NOSCRIPT LOADING STALE]       Local;
    "getredir"      2 NONE [NOSCRIPT LOADING STALE]       Local;
    "help"          2 NONE [LOADING STALE]                Local;
    "id"            2 NONE [NOSCRIPT LOADING STALE]       Local;
    "info"          2 NONE [NOSCRIPT LOADING STALE]       Local;
    "kill"         -3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "list"         -2 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "maint_notifications" -3 NONE [NOSCRIPT LOADING STALE] Local;
    "no-evict"      3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "no-touch"      3 NONE [NOSCRIPT LOADING STALE]       Local;
    "pause"        -3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "reply"         3 NONE [NOSCRIPT LOADING STALE]       Local;
    "setinfo"       4 NONE [NOSCRIPT LOADING STALE]       Local;
    "setname"       3 NONE [NOSCRIPT LOADING STALE]       Local;
    "tracking"     -3 NONE [NOSCRIPT LOADING STALE]       Local;
    "trackinginfo"  2 NONE [NOSCRIPT LOADING STALE]       Local;
    "unblock"      -3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "unpause"       2 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
};
