//! Keys whatever their type: their life, their names, walking over them.

use super::{KEY, KEYS, MIGRATE, NONE, SECOND, SORT, TWO};
use crate::command::{
    Flags,
    Merge::{Concat, Sum},
    Plan::{AnyNode, ByKey, Local, Primaries, Refuse, Split},
    Refusal::Admin,
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "copy"        -3 TWO     [WRITE DENYOOM]             ByKey;
    "del"         -2 KEYS    [WRITE]                     Split(Sum);
    "dump"         2 KEY     [READONLY]                  ByKey;
    "exists"      -2 KEYS    [READONLY FAST]             Split(Sum);
    "expire"      -3 KEY     [WRITE FAST]                ByKey;
    "expireat"    -3 KEY     [WRITE FAST]                ByKey;
    "expiretime"   2 KEY     [READONLY FAST]             ByKey;
    "keys"         2 NONE    [READONLY]                  Primaries(Concat);
    "migrate"     -6 MIGRATE [WRITE MOVABLEKEYS]         Refuse(Admin);
    "move"         3 KEY     [WRITE FAST]                Refuse(Admin);
    "object"      -2 NONE    []                          Local => OBJECT;
    "persist"      2 KEY     [WRITE FAST]                ByKey;
    "pexpire"     -3 KEY     [WRITE FAST]                ByKey;
    "pexpireat"   -3 KEY     [WRITE FAST]                ByKey;
    "pexpiretime"  2 KEY     [READONLY FAST]             ByKey;
    "pttl"         2 KEY     [READONLY FAST]             ByKey;
    "randomkey"    1 NONE    [READONLY]                  Local;
    "rename"       3 TWO     [WRITE]                     ByKey;
    "renamenx"     3 TWO     [WRITE FAST]                ByKey;
    "restore"     -4 KEY     [WRITE DENYOOM]             ByKey;
    "scan"        -2 NONE    [READONLY]                  Local;
    "sort"        -2 SORT    [WRITE DENYOOM MOVABLEKEYS] ByKey;
    "sort_ro"     -2 KEY     [READONLY MOVABLEKEYS]      ByKey;
    "touch"       -2 KEYS    [READONLY FAST]             Split(Sum);
    "ttl"          2 KEY     [READONLY FAST]             ByKey;
    "type"         2 KEY     [READONLY FAST]             ByKey;
    "unlink"      -2 KEYS    [WRITE FAST]                Split(Sum);
};

const OBJECT: &[Spec] = rows! {
    "encoding" 3 SECOND [READONLY]      ByKey;
    "freq"     3 SECOND [READONLY]      ByKey;
    "help"     2 NONE   [LOADING STALE] AnyNode;
    "idletime" 3 SECOND [READONLY]      ByKey;
    "refcount" 3 SECOND [READONLY]      ByKey;
};
