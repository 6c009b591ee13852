//! Hashes: fields under one key.

use super::KEY;
use crate::command::{Flags, Plan::ByKey, Spec};

pub(super) const ROWS: &[Spec] = rows! {
    "hdel"         -3 KEY [WRITE FAST]         ByKey;
    "hexists"       3 KEY [READONLY FAST]      ByKey;
    "hget"          3 KEY [READONLY FAST]      ByKey;
    "hgetall"       2 KEY [READONLY]           ByKey;
    "hincrby"       4 KEY [WRITE DENYOOM FAST] ByKey;
    "hincrbyfloat"  4 KEY [WRITE DENYOOM FAST] ByKey;
    "hkeys"         2 KEY [READONLY]           ByKey;
    "hlen"          2 KEY [READONLY FAST]      ByKey;
    "hmget"        -3 KEY [READONLY FAST]      ByKey;
    "hmset"        -4 KEY [WRITE DENYOOM FAST] ByKey;
    "hrandfield"   -2 KEY [READONLY]           ByKey;
    "hscan"        -3 KEY [READONLY]           ByKey;
    "hset"         -4 KEY [WRITE DENYOOM FAST] ByKey;
    "hsetnx"        4 KEY [WRITE DENYOOM FAST] ByKey;
    "hstrlen"       3 KEY [READONLY FAST]      ByKey;
    "hvals"         2 KEY [READONLY]           ByKey;
};
