//! The header of a client's frame (RFC 6455 §5.2), which TCP may deliver byte by byte.

use super::{Error, MAX_CONTROL, Opcode};

/// Two bytes, eight of extended length, four of the key.
const MAX_LEN: usize = 14;

/// What a header says, once it is complete and lawful by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) key: [u8; 4],
    pub(super) len: u64,
}

/// Collects a header. Inline: a connection with half a header has no heap memory either.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct HeadReader {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl HeadReader {
    pub(super) fn buffered(&self) -> usize {
        usize::from(self.len)
    }

    /// Takes a header from the front of `input`; `None` means that `input` is used up.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Head>, Error> {
        if self.len == 0
            && let Some((head, used)) = parse(input)?
        {
            *input = input.get(used..).unwrap_or_default();
            return Ok(Some(head));
        }
        // Rare: the header is cut. Go on byte by byte, so that no byte of the payload is taken.
        while let Some(&byte) = input.split_off_first() {
            if let Some(head) = self.push(byte)? {
                *self = HeadReader::default();
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn push(&mut self, byte: u8) -> Result<Option<Head>, Error> {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.len)) {
            *slot = byte;
            self.len += 1;
        }
        let so_far = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        Ok(parse(so_far)?.map(|(head, _)| head))
    }
}

/// Reads a header at the front of `bytes`: the header and its length, or `None` if more is needed.
/// Each byte is judged as soon as it is there.
fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Error> {
    let Some((&first, bytes)) = bytes.split_first() else { return Ok(None) };
    let (fin, opcode) = parse_first(first)?;
    let Some((&second, bytes)) = bytes.split_first() else { return Ok(None) };
    let short = parse_second(second, opcode)?;
    let (len, bytes, extended) = match short {
        126 => match bytes.split_first_chunk::<2>() {
            Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest, 2),
            None => return Ok(None),
        },
        127 => match bytes.split_first_chunk::<8>() {
            Some((len, rest)) => (u64::from_be_bytes(*len), rest, 8),
            None => return Ok(None),
        },
        short => (u64::from(short), bytes, 0),
    };
    if len >> 63 != 0 {
        return Err(Error::InvalidLength);
    }
    let Some(&key) = bytes.first_chunk::<4>() else { return Ok(None) };
    Ok(Some((Head { opcode, fin, key, len }, 2 + extended + 4)))
}

/// FIN, the reserved bits and the opcode.
fn parse_first(byte: u8) -> Result<(bool, Opcode), Error> {
    if byte & 0x70 != 0 {
        return Err(Error::ReservedBits);
    }
    let fin = byte & 0x80 != 0;
    let opcode = Opcode::from_bits(byte & 0x0f)?;
    if opcode.is_control() && !fin {
        return Err(Error::FragmentedControl);
    }
    Ok((fin, opcode))
}

/// The mask bit and the short length. A control frame has no longer form, so 126 and 127 are too long.
fn parse_second(byte: u8, opcode: Opcode) -> Result<u8, Error> {
    if byte & 0x80 == 0 {
        return Err(Error::Unmasked);
    }
    let short = byte & 0x7f;
    if opcode.is_control() && usize::from(short) > MAX_CONTROL {
        return Err(Error::ControlTooLong);
    }
    Ok(short)
}
