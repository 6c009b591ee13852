//! What the HELP subcommands of containers say, in the shape that Redis gives it.

use crate::resp::encode;

/// Subcommands, each with what it does.
pub(super) type Help = &'static [(&'static str, &'static str)];

/// Appends the help of one container.
pub(super) fn write(container: &str, help: Help, out: &mut Vec<u8>) {
    encode::array(out, 1 + 2 * help.len() + 2);
    encode::simple(out, &format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (form, text) in help.iter().chain(&[("HELP", "Show this text.")]) {
        encode::simple(out, form);
        encode::simple(out, &format!("    {text}"));
    }
}

pub(super) const CLIENT: Help = &[
    ("CACHING (YES|NO)", "An error: clients are not tracked."),
    ("GETNAME", "This client's name."),
    ("GETREDIR", "-1: clients are not tracked."),
    ("ID", "This client's number."),
    ("INFO", "This client's line of CLIENT LIST."),
    ("KILL <ip:port>", "Close the client that comes from there."),
    (
        "KILL <option> <value> [<option> <value> [...]]",
        "Close the clients that suit all of ID, ADDR, LADDR, TYPE, USER, MAXAGE; SKIPME NO includes this one.",
    ),
    ("LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> [...]]", "A line for each client of every thread."),
    (
        "MAINT_NOTIFICATIONS (ON|OFF) [moving-endpoint-type <type>]",
        "Whether this client is told where to go when slotway ends, if shutdown.advertise is set.",
    ),
    ("NO-EVICT (ON|OFF)", "Accepted: no client is evicted."),
    ("NO-TOUCH (ON|OFF)", "Accepted, without effect on the nodes."),
    ("PAUSE <timeout> [WRITE|ALL]", "Let commands of all clients wait for so many milliseconds, or only writes."),
    ("REPLY (ON|OFF|SKIP)", "Whether this client gets replies."),
    ("SETINFO (LIB-NAME|LIB-VER) <value>", "Tell which library this client uses."),
    ("SETNAME <name>", "Name this client."),
    ("TRACKINGINFO", "Tells that this client is not tracked."),
    ("UNBLOCK <clientid> [TIMEOUT|ERROR]", "End the wait of a blocked client."),
    ("UNPAUSE", "End a pause."),
];

pub(super) const SLOWLOG: Help = &[
    (
        "GET [<count>]",
        "The latest requests that took long, 10 or so many, -1 for all: id, time, microseconds, arguments, client.",
    ),
    ("LEN", "How many there are."),
    ("RESET", "Forget them."),
];

pub(super) const LATENCY: Help = &[
    ("DOCTOR", "A sentence about what is watched."),
    ("GRAPH <event>", "An error: there are no events."),
    ("HISTORY <event>", "Nothing: there are no events."),
    ("LATEST", "Nothing: there are no events."),
    ("RESET [<event> ...]", "Forget events: 0."),
    ("HISTOGRAM [COMMAND ...]", "Nothing: commands are not timed one by one. See SLOWLOG."),
];

pub(super) const COMMAND: Help = &[
    ("(no subcommand)", "All commands with arity, flags, keys, categories and tips."),
    ("COUNT", "How many commands there are."),
    ("LIST [FILTERBY (MODULE <module>|ACLCAT <category>|PATTERN <pattern>)]", "The names of commands."),
    ("INFO [<command> ...]", "What is known of these commands, or of all."),
    ("DOCS [<command> ...]", "What these commands do, or all."),
    ("GETKEYS <command> [<arg> ...]", "The keys of this command."),
    ("GETKEYSANDFLAGS <command> [<arg> ...]", "The keys of this command, and what happens to them."),
];

pub(super) const PROXY: Help = &[
    ("BIGKEYS [<count>]", "The keys with the largest values that were seen while hot keys were looked for."),
    ("CONFIG", "The configuration in use, secrets hidden."),
    ("EXPLAIN <command> [<arg> ...]", "What would be done with this command: plan, keys, slots, nodes, refusal."),
    ("HOTKEYS [<count>]", "The keys that most requests name now."),
    ("HOTKEYS (ON|OFF|RESET)", "Begin or end to look for hot keys and large values, or forget what was found."),
    ("INFO", "Counts of the proxy, as in INFO."),
    ("KEYSLOT <key>", "The slot of a key."),
    ("NODES", "The nodes, and the connections to them."),
    (
        "SLOWLOG [<count>]",
        "The latest requests that took long, and how long each waited, was at its node, and was written to its client.",
    ),
    ("TOPOLOGY", "The ranges of slots and who owns them."),
];

pub(super) const CLUSTER: Help = &[
    ("COUNTKEYSINSLOT <slot>", "How many keys a slot has."),
    ("GETKEYSINSLOT <slot> <count>", "Some keys of a slot."),
    ("INFO", "The state of the cluster."),
    ("KEYSLOT <key>", "The slot of a key."),
    ("MYID", "The name of the one node that slotway shows."),
    ("NODES, SHARDS, SLOTS", "The one node that slotway shows: itself, with every slot."),
];
