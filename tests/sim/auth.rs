//! Who may come in, and how little those may do who have not yet.

use slotway::client::User;
use slotway::config::Config;
use slotway::demo::embedded::Options;

use crate::client::frame;
use crate::proxy::{ms, pass, proxied, proxied_with};
use crate::world::World;

fn two_users(config: &mut Config) {
    let user = |name: &str, password: &str| User { name: name.to_owned(), password: password.to_owned() };
    config.client.users = vec![user("default", "open sesame"), user("ann", "secret")];
}

#[test]
fn nothing_is_done_for_clients_that_are_not_authenticated() {
    proxied_with(1, Options::default(), two_users, async |world: World| {
        pass(ms(1000)).await;
        world.cluster.log(100);
        let mut client = world.client().await;
        for words in [
            "GET a",
            "SET a 1",
            "PING",
            "INFO",
            "MGET a b c",
            "DBSIZE",
            "COMMAND",
            "CLIENT ID",
            "SELECT 0",
            "ECHO x",
            "EVAL x 0",
            "NOSUCH",
            "CLIENT NOSUCH",
            "CLUSTER KEYSLOT a",
            "CONFIG GET save",
            "ACL WHOAMI",
        ] {
            let reply = client.say(words).await;
            assert_eq!(reply, r"-NOAUTH Authentication required.\r\n", "{words}");
        }
        assert!(client.say("HELLO 3").await.starts_with("-NOAUTH"));
        assert_eq!(client.say("RESET").await, r"+RESET\r\n");
        assert_eq!(client.say("QUIT").await, r"+OK\r\n");
        assert!(client.rest().await.is_empty());
        assert!(world.cluster.take_log().is_empty(), "no node heard of it");
    });
}

#[test]
fn names_and_passwords_are_checked() {
    proxied_with(1, Options::default(), two_users, async |world: World| {
        let wrong = r"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        let mut client = world.client().await;
        for words in ["AUTH secret", "AUTH ann sesame", "AUTH bob secret", "AUTH ann secre", "AUTH ann secrets"] {
            assert_eq!(client.say(words).await, wrong, "{words}");
            assert!(client.say("GET a").await.starts_with("-NOAUTH"));
        }
        assert_eq!(client.say("HELLO 3 AUTH ann wrong").await, wrong);
        assert_eq!(client.say("AUTH ann secret").await, r"+OK\r\n");
        assert_eq!(client.say("ACL WHOAMI").await, r"$3\r\nann\r\n");
        assert_eq!(client.say("AUTH ann wrong").await, wrong);
        assert_eq!(client.say("GET a").await, r"$-1\r\n", "a failed AUTH takes nothing away");
        assert_eq!(client.call(&[b"AUTH", b"open sesame"]).await.expect("a reply"), b"+OK\r\n");
        assert_eq!(client.say("ACL WHOAMI").await, r"$7\r\ndefault\r\n");
        client.say("RESET").await;
        assert!(client.say("GET a").await.starts_with("-NOAUTH"), "RESET forgets who the client was");
        assert!(client.say("HELLO 3 AUTH ann secret SETNAME me").await.starts_with("%7"));
        assert_eq!(client.say("GET a").await, r"_\r\n");
        assert!(world.client().await.say("GET a").await.starts_with("-NOAUTH"), "others are not let in with it");
    });
}

#[test]
fn a_pipeline_may_begin_with_auth() {
    proxied_with(1, Options::default(), two_users, async |world: World| {
        let mut client = world.client().await;
        let large = "x".repeat(100_000);
        let requests = [
            frame(&[b"GET", b"a"]),
            frame(&[b"AUTH", b"ann", b"secret"]),
            frame(&[b"SET", b"a", large.as_bytes()]),
            frame(&[b"STRLEN", b"a"]),
        ];
        client.send(&requests.concat()).await.expect("the proxy reads");
        assert!(client.hear().await.starts_with("-NOAUTH"));
        assert_eq!(client.hear().await, r"+OK\r\n");
        assert_eq!(client.hear().await, r"+OK\r\n", "the limits are those of an authenticated client at once");
        assert_eq!(client.hear().await, r":100000\r\n");
    });
}

#[test]
fn before_authentication_little_is_read() {
    proxied_with(1, Options::default(), two_users, async |world: World| {
        let endless = vec![b'x'; (64 << 10) + 1];
        for (bytes, error) in [
            (&b"*11\r\n"[..], "unauthenticated multibulk length"),
            (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "unauthenticated bulk length"),
            (&endless, "too big inline request"),
        ] {
            let mut client = world.client().await;
            client.send(bytes).await.expect("the proxy reads");
            let said = String::from_utf8_lossy(&client.rest().await).into_owned();
            assert_eq!(said, format!("-ERR Protocol error: {error}\r\n"));
        }
        let mut client = world.client().await;
        let argument = "y".repeat(16_384);
        let many =
            frame(&[b"AUTH", argument.as_bytes(), argument.as_bytes(), argument.as_bytes(), argument.as_bytes(), b""]);
        // The proxy need not take all of it.
        let _ = client.send(&many).await;
        assert_eq!(String::from_utf8_lossy(&client.rest().await), "-ERR Protocol error: too big request\r\n");
    });
}

#[test]
fn without_users_everybody_is_let_in() {
    proxied(1, async |world: World| {
        let mut client = world.client().await;
        assert!(client.say("AUTH x").await.starts_with("-ERR AUTH <password> called without any password"));
        assert_eq!(client.say("GET a").await, r"$-1\r\n");
    });
}
