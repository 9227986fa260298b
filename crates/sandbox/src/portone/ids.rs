//! Names and chances derived from the seed and from what they are for, so that a run can be repeated whatever its concurrency.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Derives names and chances. The same parts give the same result, in any order of asking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    fn digest(self, parts: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0.to_be_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().into()
    }

    /// A name in the shape of a UUID.
    pub(crate) fn uuid(self, parts: &[&str]) -> String {
        let mut bytes = self.digest(parts);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let digits = hex(&bytes[..16]);
        let groups = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
        groups.map(|(from, to)| digits.get(from..to).unwrap_or_default()).join("-")
    }

    /// `length` hexadecimal digits, 64 at most.
    pub(crate) fn hex(self, parts: &[&str], length: usize) -> String {
        let mut digits = hex(&self.digest(parts));
        digits.truncate(length);
        digits
    }

    /// A number that is uniform over all of `u64`.
    pub(crate) fn number(self, parts: &[&str]) -> u64 {
        self.digest(parts).iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    /// A number that is uniform from 0 to `span`, without `span` itself unless it is 0.
    pub(crate) fn below(self, span: u64, parts: &[&str]) -> u64 {
        let product = u128::from(self.number(parts)) * u128::from(span);
        u64::try_from(product >> 64).unwrap_or(span)
    }
}

/// A token that only the holder of `secret` could have made.
pub(crate) fn token(secret: &str, parts: &[&str]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    hex(&mac.finalize().into_bytes())
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_the_shape_of_one_and_depends_on_seed_and_parts() {
        let id = Seed(1).uuid(&["tx", "a"]);
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(id, Seed(1).uuid(&["tx", "a"]));
        assert_ne!(id, Seed(2).uuid(&["tx", "a"]));
        assert_ne!(Seed(1).uuid(&["ab", "c"]), Seed(1).uuid(&["a", "bc"]));
    }

    #[test]
    fn a_number_below_a_span_is_below_it() {
        assert!((0..100).all(|n| Seed(7).below(10, &[&n.to_string()]) < 10));
        assert_eq!(Seed(7).below(0, &["x"]), 0);
    }
}
