//! Bitmaps and `HyperLogLog`s, which are strings underneath.

use super::{FROM_2, KEY, KEYS, NONE, SECOND};
use crate::command::{
    Flags,
    Plan::{ByKey, Refuse},
    Refusal::Admin,
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "bitcount"    -2 KEY    [READONLY]            ByKey;
    "bitfield"    -2 KEY    [WRITE DENYOOM]       ByKey;
    "bitfield_ro" -2 KEY    [READONLY FAST]       ByKey;
    "bitop"       -4 FROM_2 [WRITE DENYOOM]       ByKey;
    "bitpos"      -3 KEY    [READONLY]            ByKey;
    "getbit"       3 KEY    [READONLY FAST]       ByKey;
    "setbit"       4 KEY    [WRITE DENYOOM]       ByKey;
    "pfadd"       -2 KEY    [WRITE DENYOOM FAST]  ByKey;
    "pfcount"     -2 KEYS   [READONLY]            ByKey;
    "pfdebug"      3 SECOND [WRITE DENYOOM ADMIN] ByKey;
    "pfmerge"     -2 KEYS   [WRITE DENYOOM]       ByKey;
    "pfselftest"   1 NONE   [ADMIN]               Refuse(Admin);
};
