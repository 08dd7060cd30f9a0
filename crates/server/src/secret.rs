//! Random secrets.

use std::fmt::Write as _;

use rand::{TryRngCore as _, rngs::OsRng};

/// Random bytes of the operating system. Without them nothing here is safe, so there is no
/// way on: the process ends.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if OsRng.try_fill_bytes(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
}

/// `2 × N` hexadecimal digits.
pub fn random_hex<const N: usize>() -> String {
    random_bytes::<N>().iter().fold(String::with_capacity(2 * N), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
