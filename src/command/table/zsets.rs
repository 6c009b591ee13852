//! Sorted sets. Those that take several sets count their keys, because weights and options follow.

use super::{BUT_LAST, COUNTED_ZSETS, KEY, POP, TIMED_POP, TWO, ZSETS_TO};
use crate::command::{
    Flags,
    Pin::Blocking,
    Plan::{ByKey, Pin},
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "bzmpop"           -5 TIMED_POP     [WRITE BLOCKING MOVABLEKEYS]   Pin(Blocking);
    "bzpopmax"         -3 BUT_LAST      [WRITE NOSCRIPT BLOCKING FAST] Pin(Blocking);
    "bzpopmin"         -3 BUT_LAST      [WRITE NOSCRIPT BLOCKING FAST] Pin(Blocking);
    "zadd"             -4 KEY           [WRITE DENYOOM FAST]           ByKey;
    "zcard"             2 KEY           [READONLY FAST]                ByKey;
    "zcount"            4 KEY           [READONLY FAST]                ByKey;
    "zdiff"            -3 COUNTED_ZSETS [READONLY MOVABLEKEYS]         ByKey;
    "zdiffstore"       -4 ZSETS_TO      [WRITE DENYOOM MOVABLEKEYS]    ByKey;
    "zincrby"           4 KEY           [WRITE DENYOOM FAST]           ByKey;
    "zinter"           -3 COUNTED_ZSETS [READONLY MOVABLEKEYS]         ByKey;
    "zintercard"       -3 COUNTED_ZSETS [READONLY MOVABLEKEYS]         ByKey;
    "zinterstore"      -4 ZSETS_TO      [WRITE DENYOOM MOVABLEKEYS]    ByKey;
    "zlexcount"         4 KEY           [READONLY FAST]                ByKey;
    "zmpop"            -4 POP           [WRITE MOVABLEKEYS]            ByKey;
    "zmscore"          -3 KEY           [READONLY FAST]                ByKey;
    "zpopmax"          -2 KEY           [WRITE FAST]                   ByKey;
    "zpopmin"          -2 KEY           [WRITE FAST]                   ByKey;
    "zrandmember"      -2 KEY           [READONLY]                     ByKey;
    "zrange"           -4 KEY           [READONLY]                     ByKey;
    "zrangebylex"      -4 KEY           [READONLY]                     ByKey;
    "zrangebyscore"    -4 KEY           [READONLY]                     ByKey;
    "zrangestore"      -5 TWO           [WRITE DENYOOM]                ByKey;
    "zrank"             3 KEY           [READONLY FAST]                ByKey;
    "zrem"             -3 KEY           [WRITE FAST]                   ByKey;
    "zremrangebylex"    4 KEY           [WRITE]                        ByKey;
    "zremrangebyrank"   4 KEY           [WRITE]                        ByKey;
    "zremrangebyscore"  4 KEY           [WRITE]                        ByKey;
    "zrevrange"        -4 KEY           [READONLY]                     ByKey;
    "zrevrangebylex"   -4 KEY           [READONLY]                     ByKey;
    "zrevrangebyscore" -4 KEY           [READONLY]                     ByKey;
    "zrevrank"          3 KEY           [READONLY FAST]                ByKey;
    "zscan"            -3 KEY           [READONLY]                     ByKey;
    "zscore"            3 KEY           [READONLY FAST]                ByKey;
    "zunion"           -3 COUNTED_ZSETS [READONLY MOVABLEKEYS]         ByKey;
    "zunionstore"      -4 ZSETS_TO      [WRITE DENYOOM MOVABLEKEYS]    ByKey;
};
