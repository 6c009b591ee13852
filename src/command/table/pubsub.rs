//! Publish and subscribe. A channel is no key, but a shard channel has a slot and is routed as if it were one.

use super::{KEY, KEYS, NONE};
use crate::command::{
    Flags,
    Pin::Subscribe,
    Plan::{AnyNode, Local, Pin, Publish},
    Spec,
};

pub(super) const ROWS: &[Spec] = rows! {
    "psubscribe"   -2 NONE [PUBSUB NOSCRIPT LOADING STALE] Pin(Subscribe);
    "publish"       3 NONE [PUBSUB LOADING STALE FAST]     Publish;
    "pubsub"       -2 NONE []                              Local => PUBSUB;
    "punsubscribe" -1 NONE [PUBSUB NOSCRIPT LOADING STALE] Pin(Subscribe);
    "spublish"      3 KEY  [PUBSUB LOADING STALE FAST]     Publish;
    "ssubscribe"   -2 KEYS [PUBSUB NOSCRIPT LOADING STALE] Pin(Subscribe);
    "subscribe"    -2 NONE [PUBSUB NOSCRIPT LOADING STALE] Pin(Subscribe);
    "sunsubscribe" -1 KEYS [PUBSUB NOSCRIPT LOADING STALE] Pin(Subscribe);
    "unsubscribe"  -1 NONE [PUBSUB NOSCRIPT LOADING STALE] Pin(Subscribe);
};

const PUBSUB: &[Spec] = rows! {
    "channels"      -2 NONE [PUBSUB LOADING STALE] Local;
    "help"           2 NONE [LOADING STALE]        AnyNode;
    "numpat"         2 NONE [PUBSUB LOADING STALE] Local;
    "numsub"        -2 NONE [PUBSUB LOADING STALE] Local;
    "shardchannels" -2 NONE [PUBSUB LOADING STALE] Local;
    "shardnumsub"   -2 NONE [PUBSUB LOADING STALE] Local;
};
