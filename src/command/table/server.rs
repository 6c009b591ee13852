//! Running a server: data as a whole, configuration, statistics, replication, access rights.
//!
//! What means the same on every node is sent to all primaries or to any; what acts on one server is refused.

use super::{KEY, NONE, SECOND};
use crate::command::{
    Flags,
    Merge::{AllOk, Sum},
    Plan::{AnyNode, ByKey, Local, Primaries, Refuse},
    Refusal::Admin,
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "acl"            -2 NONE []                                                 Local => ACL;
    "bgrewriteaof"    1 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING]                  Refuse(Admin);
    "bgsave"         -1 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING]                  Refuse(Admin);
    "command"        -1 NONE [LOADING STALE]                                    Local => COMMAND;
    "config"         -2 NONE []                                                 Local => CONFIG;
    "dbsize"          1 NONE [READONLY FAST]                                    Primaries(Sum);
    "debug"          -2 NONE [ADMIN NOSCRIPT LOADING STALE]                     Local;
    "failover"       -1 NONE [ADMIN NOSCRIPT STALE]                             Refuse(Admin);
    "flushall"       -1 NONE [WRITE]                                            Primaries(AllOk);
    "flushdb"        -1 NONE [WRITE]                                            Primaries(AllOk);
    "info"           -1 NONE [LOADING STALE]                                    Local;
    "lastsave"        1 NONE [LOADING STALE FAST]                               AnyNode;
    "latency"        -2 NONE []                                                 Local => LATENCY;
    "lolwut"         -1 NONE [READONLY FAST]                                    AnyNode;
    "memory"         -2 NONE []                                                 Local => MEMORY;
    "module"         -2 NONE []                                                 Local => MODULE;
    "monitor"         1 NONE [ADMIN NOSCRIPT LOADING STALE]                     Local;
    "proxy"          -2 NONE []                                                 Local => PROXY;
    "psync"          -3 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING NO_MULTI]         Refuse(Admin);
    "replconf"       -1 NONE [ADMIN NOSCRIPT LOADING STALE ALLOW_BUSY]          Refuse(Admin);
    "replicaof"       3 NONE [ADMIN NOSCRIPT STALE NO_ASYNC_LOADING]            Refuse(Admin);
    "restore-asking" -4 KEY  [WRITE DENYOOM ASKING]                             Refuse(Admin);
    "role"            1 NONE [NOSCRIPT LOADING STALE FAST]                      Local;
    "save"            1 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING NO_MULTI]         Refuse(Admin);
    "shutdown"       -1 NONE [ADMIN NOSCRIPT LOADING STALE NO_MULTI ALLOW_BUSY] Refuse(Admin);
    "slaveof"         3 NONE [ADMIN NOSCRIPT STALE NO_ASYNC_LOADING]            Refuse(Admin);
    "slowlog"        -2 NONE []                                                 Local => SLOWLOG;
    "swapdb"          3 NONE [WRITE FAST]                                       Refuse(Admin);
    "sync"            1 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING NO_MULTI]         Refuse(Admin);
    "time"            1 NONE [LOADING STALE FAST]                               Local;
};

const ACL: &[Spec] = rows! {
    "cat"     -2 NONE [NOSCRIPT LOADING STALE]       AnyNode;
    "deluser" -3 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "dryrun"  -4 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "genpass" -2 NONE [NOSCRIPT LOADING STALE]       AnyNode;
    "getuser"  3 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "help"     2 NONE [LOADING STALE]                AnyNode;
    "list"     2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "load"     2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "log"     -2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "save"     2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "setuser" -3 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "users"    2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "whoami"   2 NONE [NOSCRIPT LOADING STALE]       Local;
};

const COMMAND: &[Spec] = rows! {
    "count"            2 NONE [LOADING STALE] Local;
    "docs"            -2 NONE [LOADING STALE] Local;
    "getkeys"         -4 NONE [LOADING STALE] Local;
    "getkeysandflags" -4 NONE [LOADING STALE] Local;
    "help"             2 NONE [LOADING STALE] Local;
    "info"            -2 NONE [LOADING STALE] Local;
    "list"            -2 NONE [LOADING STALE] Local;
};

const CONFIG: &[Spec] = rows! {
    "get"       -3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "help"       2 NONE [LOADING STALE]                AnyNode;
    "resetstat"  2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "rewrite"    2 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
    "set"       -4 NONE [ADMIN NOSCRIPT LOADING STALE] Refuse(Admin);
};

const LATENCY: &[Spec] = rows! {
    "doctor"     2 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "graph"      3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "help"       2 NONE [LOADING STALE]                Local;
    "histogram" -2 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "history"    3 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "latest"     2 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
    "reset"     -2 NONE [ADMIN NOSCRIPT LOADING STALE] Local;
};

const MEMORY: &[Spec] = rows! {
    "doctor"        2 NONE   []              AnyNode;
    "help"          2 NONE   [LOADING STALE] AnyNode;
    "malloc-stats"  2 NONE   []              AnyNode;
    "purge"         2 NONE   []              Primaries(AllOk);
    "stats"         2 NONE   []              AnyNode;
    "usage"        -3 SECOND [READONLY]      ByKey;
};

const MODULE: &[Spec] = rows! {
    "help"    2 NONE [LOADING STALE]                   Refuse(Admin);
    "list"    2 NONE [ADMIN NOSCRIPT]                  AnyNode;
    "load"   -3 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING] Refuse(Admin);
    "loadex" -3 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING] Refuse(Admin);
    "unload"  3 NONE [ADMIN NOSCRIPT NO_ASYNC_LOADING] Refuse(Admin);
};

/// The proxy's own; no server has them.
const PROXY: &[Spec] = rows! {
    "bigkeys"  -2 NONE [ADMIN LOADING STALE] Local;
    "config"    2 NONE [ADMIN LOADING STALE] Local;
    "explain"  -3 NONE [LOADING STALE]       Local;
    "help"      2 NONE [LOADING STALE]       Local;
    "hotkeys"  -2 NONE [ADMIN LOADING STALE] Local;
    "info"      2 NONE [LOADING STALE]       Local;
    "keyslot"   3 NONE [LOADING STALE]       Local;
    "nodes"     2 NONE [ADMIN LOADING STALE] Local;
    "topology"  2 NONE [LOADING STALE]       Local;
};

const SLOWLOG: &[Spec] = rows! {
    "get"   -2 NONE [ADMIN LOADING STALE] Local;
    "help"   2 NONE [LOADING STALE]       Local;
    "len"    2 NONE [ADMIN LOADING STALE] Local;
    "reset"  2 NONE [ADMIN LOADING STALE] Local;
};
