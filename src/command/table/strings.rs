//! Strings: one value a key. MGET and MSET are the ones that are split; MSETNX is atomic and never is.

use super::{KEY, KEYS, PAIRS, TWO};
use crate::command::{
    Flags,
    Merge::{AllOk, Concat},
    Plan::{ByKey, Split},
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "append"       3 KEY   [WRITE DENYOOM FAST] ByKey;
    "decr"         2 KEY   [WRITE DENYOOM FAST] ByKey;
    "decrby"       3 KEY   [WRITE DENYOOM FAST] ByKey;
    "get"          2 KEY   [READONLY FAST]      ByKey;
    "getdel"       2 KEY   [WRITE FAST]         ByKey;
    "getex"       -2 KEY   [WRITE FAST]         ByKey;
    "getrange"     4 KEY   [READONLY]           ByKey;
    "getset"       3 KEY   [WRITE DENYOOM FAST] ByKey;
    "incr"         2 KEY   [WRITE DENYOOM FAST] ByKey;
    "incrby"       3 KEY   [WRITE DENYOOM FAST] ByKey;
    "incrbyfloat"  3 KEY   [WRITE DENYOOM FAST] ByKey;
    "lcs"         -3 TWO   [READONLY]           ByKey;
    "mget"        -2 KEYS  [READONLY FAST]      Split(Concat);
    "mset"        -3 PAIRS [WRITE DENYOOM]      Split(AllOk);
    "msetnx"      -3 PAIRS [WRITE DENYOOM]      ByKey;
    "psetex"       4 KEY   [WRITE DENYOOM]      ByKey;
    "set"         -3 KEY   [WRITE DENYOOM]      ByKey;
    "setex"        4 KEY   [WRITE DENYOOM]      ByKey;
    "setnx"        3 KEY   [WRITE DENYOOM FAST] ByKey;
    "setrange"     4 KEY   [WRITE DENYOOM]      ByKey;
    "strlen"       2 KEY   [READONLY FAST]      ByKey;
    "substr"       4 KEY   [READONLY]           ByKey;
};
