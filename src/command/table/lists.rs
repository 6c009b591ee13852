//! Lists, and the commands that wait for an element.

use super::{BUT_LAST, KEY, POP, TIMED_POP, TWO};
use crate::command::{
    Flags,
    Pin::Blocking,
    Plan::{ByKey, Pin},
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "blmove"      6 TWO       [WRITE DENYOOM NOSCRIPT BLOCKING] Pin(Blocking);
    "blmpop"     -5 TIMED_POP [WRITE BLOCKING MOVABLEKEYS]      Pin(Blocking);
    "blpop"      -3 BUT_LAST  [WRITE NOSCRIPT BLOCKING]         Pin(Blocking);
    "brpop"      -3 BUT_LAST  [WRITE NOSCRIPT BLOCKING]         Pin(Blocking);
    "brpoplpush"  4 TWO       [WRITE DENYOOM NOSCRIPT BLOCKING] Pin(Blocking);
    "lindex"      3 KEY       [READONLY]                        ByKey;
    "linsert"     5 KEY       [WRITE DENYOOM]                   ByKey;
    "llen"        2 KEY       [READONLY FAST]                   ByKey;
    "lmove"       5 TWO       [WRITE DENYOOM]                   ByKey;
    "lmpop"      -4 POP       [WRITE MOVABLEKEYS]               ByKey;
    "lpop"       -2 KEY       [WRITE FAST]                      ByKey;
    "lpos"       -3 KEY       [READONLY]                        ByKey;
    "lpush"      -3 KEY       [WRITE DENYOOM FAST]              ByKey;
    "lpushx"     -3 KEY       [WRITE DENYOOM FAST]              ByKey;
    "lrange"      4 KEY       [READONLY]                        ByKey;
    "lrem"        4 KEY       [WRITE]                           ByKey;
    "lset"        4 KEY       [WRITE DENYOOM]                   ByKey;
    "ltrim"       4 KEY       [WRITE]                           ByKey;
    "rpop"       -2 KEY       [WRITE FAST]                      ByKey;
    "rpoplpush"   3 TWO       [WRITE DENYOOM]                   ByKey;
    "rpush"      -3 KEY       [WRITE DENYOOM FAST]              ByKey;
    "rpushx"     -3 KEY       [WRITE DENYOOM FAST]              ByKey;
};
