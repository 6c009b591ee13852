//! The cluster, which clients are not to see. What would change it is refused.

use super::NONE;
use crate::command::{
    Flags,
    Plan::{Local, Refuse},
    Refusal::Admin,
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "asking"     1 NONE [FAST]               Refuse(Admin);
    "cluster"   -2 NONE []                   Local => CLUSTER;
    "readonly"   1 NONE [LOADING STALE FAST] Local;
    "readwrite"  1 NONE [LOADING STALE FAST] Local;
};

const CLUSTER: &[Spec] = rows! {
    "addslots"              -3 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "addslotsrange"         -4 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "bumpepoch"              2 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "count-failure-reports"  3 NONE [ADMIN STALE]                  Local;
    "countkeysinslot"        3 NONE [STALE]                        Local;
    "delslots"              -3 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "delslotsrange"         -4 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "failover"              -2 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "flushslots"             2 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "forget"                 3 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "getkeysinslot"          4 NONE [STALE]                        Local;
    "help"                   2 NONE [LOADING STALE]                Local;
    "info"                   2 NONE [STALE]                        Local;
    "keyslot"                3 NONE [STALE]                        Local;
    "links"                  2 NONE [STALE]                        Local;
    "meet"                  -4 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "myid"                   2 NONE [STALE]                        Local;
    "nodes"                  2 NONE [STALE]                        Local;
    "replicas"               3 NONE [ADMIN STALE]                  Local;
    "replicate"              3 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "reset"                 -2 NONE [ADMIN NOSCRIPT STALE]         Refuse(Admin);
    "saveconfig"             2 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "set-config-epoch"       3 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "setslot"               -4 NONE [ADMIN STALE NO_ASYNC_LOADING] Refuse(Admin);
    "shards"                 2 NONE [STALE]                        Local;
    "slaves"                 3 NONE [ADMIN STALE]                  Local;
    "slots"                  2 NONE [STALE]                        Local;
};
