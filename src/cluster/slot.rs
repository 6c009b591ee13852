//! Key to slot: CRC16/XMODEM of the key or of its hash tag, modulo 16384.
//!
//! <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model>. Four
//! bytes a step; the `crc16` crate is the tests' oracle.

/// How many slots a cluster has.
pub const SLOTS: u16 = 16384;

/// `TABLES[k][b]`: the CRC of byte `b` with `k` zero bytes behind it.
static TABLES: [[u16; 256]; 4] = tables();

const fn tables() -> [[u16; 256]; 4] {
    let mut tables = [[0u16; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 4 {
        let mut byte = 0;
        while byte < 256 {
            let crc = tables[k - 1][byte];
            tables[k][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}

#[inline]
fn crc(bytes: &[u8]) -> u16 {
    let (fours, rest) = bytes.as_chunks::<4>();
    let mut crc = 0u16;
    for four in fours {
        let [high, low] = crc.to_be_bytes();
        crc = TABLES[3][usize::from(four[0] ^ high)]
            ^ TABLES[2][usize::from(four[1] ^ low)]
            ^ TABLES[1][usize::from(four[2])]
            ^ TABLES[0][usize::from(four[3])];
    }
    for &byte in rest {
        crc = (crc << 8) ^ TABLES[0][usize::from((crc >> 8) as u8 ^ byte)];
    }
    crc
}

/// Where the first `{` stands. Keys are short: eight bytes at once beat a call of `memchr`.
#[inline]
fn find_open(key: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (eights, rest) = key.as_chunks::<8>();
    let holds = |eight: &[u8; 8]| {
        let differs = u64::from_le_bytes(*eight) ^ (ONES * u64::from(b'{'));
        differs.wrapping_sub(ONES) & !differs & (ONES << 7) != 0
    };
    if !eights.iter().any(holds) && !rest.contains(&b'{') {
        return None;
    }
    memchr::memchr(b'{', key)
}

/// The part of `key` that is hashed: what stands between its first `{` and the next `}`, unless that is
/// nothing; otherwise the whole key.
#[inline]
#[must_use]
pub fn hash_tag(key: &[u8]) -> &[u8] {
    match find_open(key) {
        None => key,
        Some(open) => {
            let rest = key.get(open + 1..).unwrap_or_default();
            match memchr::memchr(b'}', rest) {
                Some(close) if close > 0 => rest.get(..close).unwrap_or(key),
                _ => key,
            }
        }
    }
}

/// The slot of `key`, 0 to 16383.
#[inline]
#[must_use]
pub fn slot(key: &[u8]) -> u16 {
    crc(hash_tag(key)) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hash_tags_are_those_of_redis() {
        let same = [("{user1000}.following", "user1000"), ("foo{{bar}}zap", "{bar"), ("foo{bar}{zap}", "bar")];
        for (key, tag) in same {
            assert_eq!(hash_tag(key.as_bytes()), tag.as_bytes());
        }
        for whole in ["foo{}{bar}", "", "{", "}{", "a{b", "{}"] {
            assert_eq!(hash_tag(whole.as_bytes()), whole.as_bytes());
        }
        assert_eq!((slot(b"foo"), slot(b"123456789"), slot(b"")), (12182, 0x31C3, 0));
    }

    proptest! {
        #[test]
        fn the_crc_is_that_of_the_crate(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(crc(&bytes), crc16::State::<crc16::XMODEM>::calculate(&bytes));
        }
    }
}
