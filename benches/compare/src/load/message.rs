//! The 64 bytes that are sent: different for every connection and request, so that an answer that
//! is late, lost, doubled or somebody else's is seen.

use anyhow::{Result, ensure};

pub(super) const MESSAGE_BYTES: usize = 64;

/// What has been answered of one message.
#[derive(Debug)]
pub(super) struct Expected {
    message: [u8; MESSAGE_BYTES],
    answered: usize,
}

/// The message of a connection's request.
fn message(connection: usize, request: u64) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut word = (connection as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ request;
    for chunk in bytes.chunks_exact_mut(8) {
        // SplitMix64's step and its first mix: every word depends on both numbers.
        word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        chunk.copy_from_slice(&mixed.to_le_bytes());
    }
    bytes
}

impl Expected {
    pub(super) fn new(connection: usize, request: u64) -> Self {
        Self { message: message(connection, request), answered: 0 }
    }

    pub(super) fn message(&self) -> &[u8; MESSAGE_BYTES] {
        &self.message
    }

    /// Checks what arrived. `true` once the answer is complete.
    pub(super) fn check(&mut self, arrived: &[u8]) -> Result<bool> {
        ensure!(!arrived.is_empty(), "the server closed the connection");
        let rest = &self.message[self.answered..];
        ensure!(arrived.len() <= rest.len(), "the server sent more than it was sent");
        ensure!(arrived == &rest[..arrived.len()], "the server answered something else");
        self.answered += arrived.len();
        Ok(self.answered == MESSAGE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::{Expected, message};

    #[test]
    fn messages_differ() {
        assert_ne!(message(1, 2), message(2, 1));
        assert_ne!(message(0, 0), message(0, 1));
        assert_ne!(message(0, 0), message(1, 0));
    }

    #[test]
    fn every_byte_counts() {
        let bytes = message(3, 4);
        let mut whole = Expected::new(3, 4);
        assert!(!whole.check(&bytes[..10]).unwrap());
        assert!(whole.check(&bytes[10..]).unwrap());
        assert!(whole.check(&bytes[..1]).is_err(), "more than was sent");

        let mut flipped = bytes;
        flipped[63] ^= 1;
        assert!(Expected::new(3, 4).check(&flipped).is_err());
        assert!(Expected::new(3, 4).check(&[]).is_err());
        assert!(Expected::new(3, 4).check(&message(3, 5)).is_err());
    }
}
