//! Which slot a key is in, worked out bit by bit.
//!
//! Slow and plain on purpose, and independent of the proxy's own routine: two opinions that must agree.

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

/// The slot of `key`: CRC16 (XMODEM) of its hash tag, or of the whole key when it has none.
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key)) % SLOTS
}

/// What stands between the first `{` and the first `}` after it, unless that is nothing.
fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&b| b == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for &byte in bytes {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x1021;
            }
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_that_a_server_computes() {
        let known: [(&[u8], u16); 7] = [
            (b"foo", 12182),
            (b"a", 15495),
            (b"b", 3300),
            (b"{b}1", 3300),
            (b"123456789", 0x31c3),
            (b"{}b", slot_of_whole(b"{}b")),
            (b"x{{b}}y", slot_of_whole(b"{b")),
        ];
        for (key, expected) in known {
            assert_eq!(slot(key), expected, "{}", key.escape_ascii());
        }
    }

    fn slot_of_whole(bytes: &[u8]) -> u16 {
        crc16(bytes) % SLOTS
    }
}
