//! Commands typed by hand, quoting, and what Redis says to those who break the protocol: byte for byte.

use crate::harness::{Client, plain, proxy};

/// Sends bytes to both, says that no more will come, and compares all that comes back until the connection ends.
fn same_until_the_end(bytes: &[u8]) {
    let answer = |addr| {
        let mut client = Client::connect(addr);
        client.send(bytes);
        client.finish();
        client.read_to_end().map(|bytes| bytes.escape_ascii().to_string())
    };
    let proxy = proxy();
    let expected = answer(plain().addr()).unwrap();
    assert_eq!(
        answer(proxy.addr()).as_deref(),
        Ok(expected.as_str()),
        "to {}",
        bytes[..bytes.len().min(200)].escape_ascii()
    );
}

#[test]
fn inline_commands_and_their_quotes() {
    let lines: [&[u8]; 16] = [
        b"PING\r\n",
        b"PING\n",
        b"  PING   \r\n",
        b"\r\nPING\r\n",
        b"\n\r\n\nPING\n",
        b"SET inline:a 1\r\nGET inline:a\r\nMGET inline:a inline:b\r\n",
        b"ECHO \"a b\\n\\x41\\\"\"\r\n",
        b"ECHO 'a b\\n\\''\r\n",
        b"ECHO \"\"\r\n",
        b"ECHO ''\r\n",
        b"ECHO \"\\q\\a\\b\\t\\xzz\"\r\n",
        b"ECHO a\"b\r\n",
        b"ECHO \"a\"b\r\nPING\r\n",
        b"ECHO \"never closed\r\nPING\r\n",
        b"ECHO 'never closed\r\nPING\r\n",
        b"SET inline:bin \"\\x00\\xff\"\r\nGET inline:bin\r\nstrlen inline:bin\r\n",
    ];
    for line in lines {
        same_until_the_end(line);
    }
}

#[test]
fn broken_protocol_gets_the_error_that_redis_gives_after_what_came_before() {
    let broken: [&[u8]; 14] = [
        b"*x\r\n",
        b"*1000000000000\r\n",
        b"*99999999999999999999999\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n:4\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$99999999999\r\n",
        b"*1\r\n$\r\n",
        b"*2\r\n$4\r\nECHO\r\n+hello\r\n",
        b"*2147483648\r\n",
        b"*-1\r\nPING\r\n",
        b"*0\r\nPING\r\n",
        b"*3\r\n$3\r\nSET\r\n",
    ];
    for bytes in broken {
        same_until_the_end(bytes);
        let prefix = b"*3\r\n$3\r\nSET\r\n$8\r\nbroken:k\r\n$1\r\nv\r\nGET broken:k\r\n";
        same_until_the_end(&[prefix, bytes].concat());
    }
    same_until_the_end(&[b"PING ".to_vec(), vec![b'x'; 70_000]].concat());
    // A NUL hides the end of its line.
    same_until_the_end(b"PING\r\nPING \0x\r\nPING\r\n");
    same_until_the_end(&[b"PING\r\nPING \0\r\n".to_vec(), b"PING\r\n".repeat(12_000)].concat());
}

#[test]
fn a_large_argument_comes_back_whole() {
    let proxy = proxy();
    let mut client = Client::connect(proxy.addr());
    for size in [0, 1, 4095, 4096, 65_536, 1 << 20, 20 << 20] {
        let value: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
        assert_eq!(client.call(&[b"SET".as_slice(), b"large", &value]).text(), "+OK\r\n");
        let reply = client.call(&["GET", "large"]);
        assert!(reply.bulk() == Some(&value), "{size} bytes came back as {reply:?}");
    }
    assert_eq!(client.line("DEL large").int(), 1);
}
