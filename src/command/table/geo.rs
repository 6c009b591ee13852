//! Positions on the earth, which are sorted sets underneath.

use super::{KEY, RADIUS, TWO};
use crate::command::{Flags, Plan::ByKey, Spec};

pub(super) const ROWS: &[Spec] = rows! {
    "geoadd"               -5 KEY           [WRITE DENYOOM]             ByKey;
    "geodist"              -4 KEY           [READONLY]                  ByKey;
    "geohash"              -2 KEY           [READONLY]                  ByKey;
    "geopos"               -2 KEY           [READONLY]                  ByKey;
    "georadius"            -6 RADIUS        [WRITE DENYOOM MOVABLEKEYS] ByKey;
    "georadius_ro"         -6 KEY           [READONLY]                  ByKey;
    "georadiusbymember"    -5 RADIUS        [WRITE DENYOOM MOVABLEKEYS] ByKey;
    "georadiusbymember_ro" -5 KEY           [READONLY]                  ByKey;
    "geosearch"            -7 KEY           [READONLY]                  ByKey;
    "geosearchstore"       -8 TWO           [WRITE DENYOOM]             ByKey;
};
