use super::*;

#[test]
fn an_attribute_belongs_to_the_value_behind_it() {
    let mut scanner = Scanner::new(Proto::Resp3, 1 << 20);
    assert_eq!(scanner.end(b"|1\r\n+k\r\n:1\r\n"), Ok(None));
    assert_eq!(scanner.end(b"|1\r\n+k\r\n:1\r\n+OK\r\n"), Ok(Some(17)));
}
