//! What the proxy answers about itself and its clients, beside a plain server: the same errors and the same shapes,
//! in RESP2 and in RESP3.

use std::time::{Duration, Instant};

use crate::harness::{Client, cluster, direct, plain, proxy, words};

/// Lines whose answers are the same bytes.
const SAME: &str = r#"
CLIENT
CLIENT NOSUCH
CLIENT LIST TYPE nosuch
CLIENT LIST TYPE
CLIENT LIST TYPE normal more
CLIENT LIST TYPE master
CLIENT LIST TYPE replica
CLIENT LIST TYPE slave
CLIENT LIST ID
CLIENT LIST ID x
CLIENT LIST ID 999999999 999999998
CLIENT LIST nosuch
CLIENT INFO x
CLIENT KILL
CLIENT KILL nosuch
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID x
CLIENT KILL ID 0
CLIENT KILL ID 999999999
CLIENT KILL TYPE nosuch
CLIENT KILL ADDR 1.2.3.4:5
CLIENT KILL LADDR 1.2.3.4:5
CLIENT KILL USER nosuch
CLIENT KILL SKIPME x
CLIENT KILL SKIPME yes ADDR 1.2.3.4:5
CLIENT KILL ID 999999999 ADDR
CLIENT KILL TYPE master
CLIENT PAUSE
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 0 nosuch
CLIENT PAUSE 0 WRITE
CLIENT PAUSE 0 all
CLIENT PAUSE 1 WRITE more
CLIENT UNPAUSE
CLIENT UNPAUSE x
CLIENT REPLY
CLIENT REPLY nosuch
CLIENT REPLY ON
CLIENT NO-EVICT
CLIENT NO-EVICT x
CLIENT NO-EVICT on
CLIENT NO-EVICT OFF
CLIENT GETREDIR
CLIENT TRACKING
CLIENT TRACKING nosuch
CLIENT TRACKING OFF
CLIENT TRACKINGINFO
CLIENT CACHING
CLIENT CACHING yes
CLIENT CACHING nosuch
CLIENT UNBLOCK
CLIENT UNBLOCK x
CLIENT UNBLOCK 1 nosuch
CLIENT UNBLOCK 999999999
CLIENT UNBLOCK 999999999 TIMEOUT
CLIENT UNBLOCK 999999999 error
CLIENT UNBLOCK 1 TIMEOUT more
CLIENT SETNAME "a b"
CLIENT SETNAME
CLIENT SETNAME fine
CLIENT GETNAME
CLIENT SETNAME ""
CLIENT GETNAME
COMMAND NOSUCH
COMMAND COUNT x
COMMAND INFO nosuch
COMMAND INFO get|nosuch
COMMAND DOCS nosuch
COMMAND LIST nosuch
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY nosuch x
COMMAND LIST FILTERBY PATTERN
COMMAND LIST FILTERBY MODULE nosuch
COMMAND LIST FILTERBY ACLCAT nosuch
COMMAND LIST FILTERBY PATTERN nosuch*
COMMAND GETKEYS
COMMAND GETKEYS nosuch a
COMMAND GETKEYS ping x
COMMAND GETKEYS mset a 1 b 2
COMMAND GETKEYS eval x 2 a b c
COMMAND GETKEYS set a
COMMAND GETKEYSANDFLAGS
COMMAND GETKEYSANDFLAGS nosuch a
COMMAND GETKEYSANDFLAGS set a 1
COMMAND GETKEYSANDFLAGS set a 1 GET
COMMAND GETKEYSANDFLAGS bitfield a GET u8 0
COMMAND GETKEYSANDFLAGS bitfield a SET u8 0 1
COMMAND GETKEYSANDFLAGS mset a 1 b 2
COMMAND GETKEYSANDFLAGS sort a STORE b
COMMAND GETKEYSANDFLAGS rename a b
COMMAND GETKEYSANDFLAGS zunionstore d 2 a b
COMMAND GETKEYSANDFLAGS eval x 2 a b c
COMMAND GETKEYSANDFLAGS xread COUNT 1 STREAMS a b 0 0
COMMAND GETKEYSANDFLAGS bitop and d a b
COMMAND GETKEYSANDFLAGS blpop a b 0
COMMAND GETKEYSANDFLAGS georadius a 0 0 1 m STORE b
SLOWLOG
SLOWLOG NOSUCH
SLOWLOG GET -2
SLOWLOG GET x
SLOWLOG GET 1 2
SLOWLOG GET 0
SLOWLOG LEN x
SLOWLOG RESET
LATENCY
LATENCY NOSUCH
LATENCY LATEST
LATENCY LATEST x
LATENCY HISTORY
LATENCY HISTORY x
LATENCY GRAPH x
LATENCY RESET
LATENCY RESET x
LATENCY HISTOGRAM nosuch
ACL
ACL NOSUCH
ACL WHOAMI
ACL WHOAMI x
ACL CAT
ACL CAT nosuch
ACL GENPASS x
ACL GENPASS 5000
MODULE LIST
MODULE
MODULE NOSUCH
ROLE
ROLE x
SELECT 0
SELECT x
SELECT
ECHO
ECHO x
TIME x
RESET x
MONITOR x
OBJECT
OBJECT NOSUCH x
OBJECT HELP
DEBUG
CLUSTER
CLUSTER SLOTS
CLUSTER INFO
CLUSTER MYID
CLUSTER NOSUCH
CLUSTER COUNTKEYSINSLOT
READONLY x
"#;

#[test]
fn errors_and_small_answers_are_those_of_a_server() {
    let proxy = proxy();
    for resp3 in [false, true] {
        let connect = |addr| if resp3 { Client::resp3(addr) } else { Client::connect(addr) };
        let (mut through, mut single) = (connect(proxy.addr()), connect(plain().addr()));
        let mut differences = Vec::new();
        for line in SAME.lines().filter(|line| !line.is_empty()) {
            let command = words(line);
            let (answer, expected) = (through.call(&command), single.call(&command));
            if answer.raw != expected.raw {
                differences.push(format!("{line}\n  expected {expected:?}\n  answered {answer:?}"));
            }
        }
        assert!(differences.is_empty(), "resp3 {resp3}: {}:\n{}", differences.len(), differences.join("\n"));
    }
}

/// The names of the fields of a line of CLIENT LIST.
fn fields(text: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.contains("id=")).unwrap_or_default();
    line.split(' ').filter_map(|pair| Some(pair.split_once('=')?.0.to_owned())).collect()
}

#[test]
fn lines_of_clients_have_the_fields_of_a_server() {
    let proxy = proxy();
    let (mut through, mut single) = (Client::connect(proxy.addr()), Client::connect(plain().addr()));
    for ask in ["CLIENT LIST", "CLIENT INFO", "CLIENT LIST TYPE normal"] {
        let own = fields(&String::from_utf8_lossy(through.line(ask).bulk().unwrap()));
        let expected = fields(&String::from_utf8_lossy(single.line(ask).bulk().unwrap()));
        let more = if direct() { 0 } else { 2 };
        assert_eq!(own[..own.len() - more], expected, "{ask}");
    }
}

/// The line that MONITOR shows of this request, without its time and address.
fn shown(watcher: &mut Client) -> String {
    let line = watcher.read().text();
    line.split_once("] ").unwrap_or_else(|| panic!("no line: {line}")).1.to_owned()
}

#[test]
fn monitor_shows_what_a_server_shows() {
    let proxy = crate::harness::Proxy::start(&cluster().addrs(), &["--workers", "3"], &[]);
    let server = slotway::demo::servers::Server::start(&slotway::demo::servers::Options::default()).unwrap();
    let (mut there, mut here) = (Client::connect(server.addr()), Client::connect(proxy.addr()));
    assert_eq!(there.line("MONITOR").text(), "+OK\r\n");
    assert_eq!(here.line("MONITOR").text(), "+OK\r\n");
    let (mut single, mut through) = (Client::connect(server.addr()), Client::connect(proxy.addr()));
    for line in [
        r#"SET watched "a\r\n\t\x00\xff\"\\b""#,
        "get watched",
        "AUTH secret",
        "HELLO 2 AUTH default secret SETNAME me",
        "CLIENT SETNAME you",
        "GET",
        "NOSUCH x",
        "CONFIG GET nosuch",
        "SLOWLOG LEN",
        "DEL watched",
    ] {
        let command = words(line);
        single.call(&command);
        through.call(&command);
    }
    single.line("ECHO end");
    through.line("ECHO end");
    loop {
        let (expected, answer) = (shown(&mut there), shown(&mut here));
        assert_eq!(answer, expected);
        if expected.contains("\"end\"") {
            break;
        }
    }
}

#[test]
fn a_silenced_client_hears_what_a_server_lets_it_hear() {
    let proxy = proxy();
    let script =
        b"CLIENT REPLY SKIP\r\nSET silent:a 1\r\nGET silent:a\r\nCLIENT REPLY OFF\r\nGET silent:a\r\nNOSUCH\r\n\
                   CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\n\
                   CLIENT REPLY SKIP\r\nNOSUCH\r\nCLIENT REPLY OFF\r\nRESET\r\nDEL silent:a\r\nQUIT\r\n";
    let hear = |addr| {
        let mut client = Client::connect(addr);
        client.send(script);
        String::from_utf8_lossy(&client.read_to_end().unwrap()).into_owned()
    };
    assert_eq!(hear(proxy.addr()), hear(plain().addr()));
}

#[test]
fn a_pause_holds_writes_for_its_time() {
    let proxy = crate::harness::Proxy::start(&cluster().addrs(), &["--workers", "3"], &[]);
    let (mut first, mut second) = (Client::connect(proxy.addr()), Client::connect(proxy.addr()));
    second.line("SET paused:k 1").ok();
    first.line("CLIENT PAUSE 400 WRITE").ok();
    let began = Instant::now();
    assert_eq!(second.line("GET paused:k").bulk(), Some(b"1".as_slice()));
    assert!(began.elapsed() < Duration::from_millis(300), "reads go on: {:?}", began.elapsed());
    assert_eq!(second.line("INCR paused:k").int(), 2);
    assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
}

#[test]
fn a_blocked_client_is_unblocked_from_any_worker() {
    if direct() {
        return;
    }
    let proxy = crate::harness::Proxy::start(&cluster().addrs(), &["--workers", "3"], &[]);
    let mut other = Client::connect(proxy.addr());
    for (how, answer) in [("", "*-1\r\n"), ("TIMEOUT", "*-1\r\n"), ("ERROR", "-UNBLOCKED ")] {
        let mut blocked = Client::connect(proxy.addr());
        let id = blocked.line("CLIENT ID").int();
        blocked.send(b"BLPOP unblocked:l 0\r\n");
        let listed = format!("CLIENT LIST ID {id}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !other.line(&listed).text().contains(" flags=b ") {
            assert!(Instant::now() < deadline, "never blocked");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(other.line(&format!("CLIENT UNBLOCK {id} {how}")).int(), 1);
        assert!(blocked.read().text().starts_with(answer), "{how}");
        assert_eq!(other.line(&format!("CLIENT UNBLOCK {id} {how}")).int(), 0);
        assert_eq!(blocked.line("PING").text(), "+PONG\r\n");
    }
    let slow = other.line("SLOWLOG GET").text();
    assert!(!slow.contains("BLPOP"), "what waits for data is not slow: {slow}");
}

#[test]
fn lists_tell_who_subscribes_and_who_is_in_a_transaction() {
    let proxy = crate::harness::Proxy::start(&cluster().addrs(), &["--workers", "3"], &[]);
    let (mut watcher, mut subscriber) = (Client::connect(proxy.addr()), Client::connect(proxy.addr()));
    let mut open = Client::connect(proxy.addr());
    subscriber.line("SUBSCRIBE listed:c").ok();
    open.line("MULTI").ok();
    open.line("PING").ok();
    let told = watcher.line("CLIENT LIST TYPE pubsub").text();
    assert!(told.contains(" flags=P ") && told.contains(" sub=1 ") && told.matches("id=").count() == 1, "{told}");
    let told = watcher.line("CLIENT LIST TYPE normal").text();
    assert!(told.contains(" flags=x ") && told.contains(" multi=1 "), "{told}");
    assert_eq!(watcher.line("CLIENT KILL TYPE pubsub").int(), 1);
    assert_eq!(subscriber.read_to_end().as_deref(), Ok(b"".as_slice()));
}
