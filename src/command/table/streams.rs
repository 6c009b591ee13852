//! Streams. XREAD and XREADGROUP are like any other command until they are given `BLOCK`.

use super::{KEY, NONE, SECOND, STREAMS};
use crate::command::{
    Flags,
    Plan::{AnyNode, ByKey, Local},
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "xack"       -4 KEY     [WRITE FAST]                    ByKey;
    "xadd"       -5 KEY     [WRITE DENYOOM FAST]            ByKey;
    "xautoclaim" -6 KEY     [WRITE FAST]                    ByKey;
    "xclaim"     -6 KEY     [WRITE FAST]                    ByKey;
    "xdel"       -3 KEY     [WRITE FAST]                    ByKey;
    "xgroup"     -2 NONE    []                              Local => XGROUP;
    "xinfo"      -2 NONE    []                              Local => XINFO;
    "xlen"        2 KEY     [READONLY FAST]                 ByKey;
    "xpending"   -3 KEY     [READONLY]                      ByKey;
    "xrange"     -4 KEY     [READONLY]                      ByKey;
    "xread"      -4 STREAMS [READONLY BLOCKING MOVABLEKEYS] ByKey;
    "xreadgroup" -7 STREAMS [WRITE BLOCKING MOVABLEKEYS]    ByKey;
    "xrevrange"  -4 KEY     [READONLY]                      ByKey;
    "xsetid"     -3 KEY     [WRITE DENYOOM FAST]            ByKey;
    "xtrim"      -4 KEY     [WRITE]                         ByKey;
};

const XGROUP: &[Spec] = rows! {
    "create"         -5 SECOND [WRITE DENYOOM] ByKey;
    "createconsumer"  5 SECOND [WRITE DENYOOM] ByKey;
    "delconsumer"     5 SECOND [WRITE]         ByKey;
    "destroy"         4 SECOND [WRITE]         ByKey;
    "help"            2 NONE   [LOADING STALE] AnyNode;
    "setid"          -5 SECOND [WRITE]         ByKey;
};

const XINFO: &[Spec] = rows! {
    "consumers"  4 SECOND [READONLY]      ByKey;
    "groups"     3 SECOND [READONLY]      ByKey;
    "help"       2 NONE   [LOADING STALE] AnyNode;
    "stream"    -3 SECOND [READONLY]      ByKey;
};
