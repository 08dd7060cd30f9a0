//! Masking (RFC 6455 §5.3): byte `i` of a payload is XORed with byte `i % 4` of the key.

/// Applies `key` to `data` in place and answers the key for the byte after it, so that a payload can
/// be unmasked piece by piece as it arrives.
///
/// Eight bytes at a time: the loop over whole words is what the compiler turns into vector code.
pub(super) fn apply(data: &mut [u8], mut key: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    key.rotate_left(data.len() % 4);
    let (words, tail) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(word.to_ne_bytes()) {
        *byte ^= mask;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::apply;

    fn slowly(data: &[u8], key: [u8; 4]) -> Vec<u8> {
        data.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
    }

    #[test]
    fn words_and_tail_are_masked_like_the_definition() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..67u8 {
            let plain: Vec<u8> = (0..len).map(|i| i.wrapping_mul(31)).collect();
            let mut fast = plain.clone();
            apply(&mut fast, key);
            assert_eq!(fast, slowly(&plain, key), "length {len}");
        }
    }

    #[test]
    fn a_payload_may_be_unmasked_in_pieces() {
        let key = [1, 2, 3, 4];
        let plain: Vec<u8> = (0..50).collect();
        for cut in 0..=plain.len() {
            let mut pieces = plain.clone();
            let (head, tail) = pieces.split_at_mut(cut);
            let next = apply(head, key);
            apply(tail, next);
            assert_eq!(pieces, slowly(&plain, key), "cut at {cut}");
        }
    }
}
