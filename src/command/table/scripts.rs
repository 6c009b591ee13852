//! Scripts and functions. A node runs them by key; what is loaded has to be on every primary.

use super::{EVAL, FCALL, NONE};
use crate::command::{
    Flags,
    Merge::{AllOk, And, OneOk},
    Plan::{AnyNode, ByKey, Local, Primaries, Refuse},
    Refusal::Admin,
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "eval"       -3 EVAL  [NOSCRIPT STALE SKIP_MONITOR NO_MANDATORY_KEYS MOVABLEKEYS]          ByKey;
    "eval_ro"    -3 EVAL  [READONLY NOSCRIPT STALE SKIP_MONITOR NO_MANDATORY_KEYS MOVABLEKEYS] ByKey;
    "evalsha"    -3 EVAL  [NOSCRIPT STALE SKIP_MONITOR NO_MANDATORY_KEYS MOVABLEKEYS]          ByKey;
    "evalsha_ro" -3 EVAL  [READONLY NOSCRIPT STALE SKIP_MONITOR NO_MANDATORY_KEYS MOVABLEKEYS] ByKey;
    "fcall"      -3 FCALL [NOSCRIPT STALE SKIP_MONITOR NO_MANDATORY_KEYS MOVABLEKEYS]          ByKey;
    "fcall_ro"   -3 FCALL [READONLY NOSCRIPT STALE SKIP_MONITOR NO_MANDATORY_KEYS MOVABLEKEYS] ByKey;
    "function"   -2 NONE  []                                                                   Local => FUNCTION;
    "script"     -2 NONE  []                                                                   Local => SCRIPT;
};

const FUNCTION: &[Spec] = rows! {
    "delete"   3 NONE [WRITE NOSCRIPT]         Primaries(AllOk);
    "dump"     2 NONE [NOSCRIPT]               AnyNode;
    "flush"   -2 NONE [WRITE NOSCRIPT]         Primaries(AllOk);
    "help"     2 NONE [LOADING STALE]          AnyNode;
    "kill"     2 NONE [NOSCRIPT ALLOW_BUSY]    Primaries(OneOk);
    "list"    -2 NONE [NOSCRIPT]               AnyNode;
    "load"    -3 NONE [WRITE DENYOOM NOSCRIPT] Primaries(AllOk);
    "restore" -3 NONE [WRITE DENYOOM NOSCRIPT] Primaries(AllOk);
    "stats"    2 NONE [NOSCRIPT ALLOW_BUSY]    AnyNode;
};

const SCRIPT: &[Spec] = rows! {
    "debug"   3 NONE [NOSCRIPT]            Refuse(Admin);
    "exists" -3 NONE [NOSCRIPT]            Primaries(And);
    "flush"  -2 NONE [NOSCRIPT]            Primaries(AllOk);
    "help"    2 NONE [LOADING STALE]       AnyNode;
    "kill"    2 NONE [NOSCRIPT ALLOW_BUSY] Primaries(OneOk);
    "load"    3 NONE [NOSCRIPT STALE]      Primaries(AllOk);
};
