use super::*;

const LIMITS: Limits = Limits { args: 1000, bulk: 1 << 20, frame: 1 << 22, unauthenticated: false };

/// Every request in `bytes`, read in one go.
fn all(bytes: &[u8]) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
    let (mut decoder, mut args, mut at, mut out) = (Decoder::default(), Args::default(), 0, Vec::new());
    loop {
        match decoder.step(&bytes[at..], &mut args, &LIMITS)? {
            Step::Request { used, inline } => {
                out.push(args.request(&bytes[at..], used, inline).args().map(<[u8]>::to_vec).collect());
                at += used;
            }
            Step::Empty { used } => at += used,
            Step::More => return Ok(out),
        }
    }
}

#[test]
fn multibulk_and_inline_mix() {
    let got = all(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\n*0\r\n*-1\r\nset  k \"a\\x41\\n\" 'b\\'c'\r\nPING\n").unwrap();
    let words: Vec<Vec<&[u8]>> = got.iter().map(|r| r.iter().map(Vec::as_slice).collect()).collect();
    assert_eq!(words, [vec![b"GET".as_slice(), b"k"], vec![b"set", b"k", b"aA\n", b"b'c"], vec![b"PING"]]);
}
