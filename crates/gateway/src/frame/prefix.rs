//! The small parts of a frame that are kept inside it.

/// Longest prefix kept inside the frame: a WebSocket header, `42["notification",` and the fields of one
/// recipient fit, so that an announcement allocates nothing per recipient.
const INLINE: usize = 152;

#[derive(Clone)]
pub(super) enum Prefix {
    Inline(u8, [u8; INLINE]),
    Heap(Box<[u8]>),
}

impl Prefix {
    pub(super) const EMPTY: Self = Self::Inline(0, [0; INLINE]);

    pub(super) fn concat(parts: &[&[u8]]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > INLINE {
            return Self::Heap(parts.concat().into());
        }
        let mut bytes = [0; INLINE];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self::Inline(len as u8, bytes)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }
}

/// Bytes kept at the end of a frame: an offset, or the bracket that closes an object.
pub(super) const TINY: usize = 55;

#[derive(Clone)]
pub(super) struct Suffix(u8, [u8; TINY]);

impl Suffix {
    pub(super) const EMPTY: Self = Self(0, [0; TINY]);

    /// `text` is short: what does not fit would be lost.
    pub(super) fn new(text: &[u8]) -> Self {
        debug_assert!(text.len() <= TINY);
        let mut bytes = [0; TINY];
        let len = text.len().min(TINY);
        bytes[..len].copy_from_slice(&text[..len]);
        Self(len as u8, bytes)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.1[..usize::from(self.0)]
    }
}
