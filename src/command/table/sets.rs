//! Sets; where one is stored, its key is the first of the keys.

use super::{COUNTED_SETS, KEY, KEYS, TWO};
use crate::command::{Flags, Plan::ByKey, Spec};

pub(super) const ROWS: &[Spec] = rows! {
    "sadd"        -3 KEY          [WRITE DENYOOM FAST]   ByKey;
    "scard"        2 KEY          [READONLY FAST]        ByKey;
    "sdiff"       -2 KEYS         [READONLY]             ByKey;
    "sdiffstore"  -3 KEYS         [WRITE DENYOOM]        ByKey;
    "sinter"      -2 KEYS         [READONLY]             ByKey;
    "sintercard"  -3 COUNTED_SETS [READONLY MOVABLEKEYS] ByKey;
    "sinterstore" -3 KEYS         [WRITE DENYOOM]        ByKey;
    "sismember"    3 KEY          [READONLY FAST]        ByKey;
    "smembers"     2 KEY          [READONLY]             ByKey;
    "smismember"  -3 KEY          [READONLY FAST]        ByKey;
    "smove"        4 TWO          [WRITE FAST]           ByKey;
    "spop"        -2 KEY          [WRITE FAST]           ByKey;
    "srandmember" -2 KEY          [READONLY]             ByKey;
    "srem"        -3 KEY          [WRITE FAST]           ByKey;
    "sscan"       -3 KEY          [READONLY]             ByKey;
    "sunion"      -2 KEYS         [READONLY]             ByKey;
    "sunionstore" -3 KEYS         [WRITE DENYOOM]        ByKey;
};
