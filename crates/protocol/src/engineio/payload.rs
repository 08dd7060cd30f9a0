//! Several packets in the body of one HTTP request or response.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::SEPARATOR;
use super::packet::{Error, Packet, decode_text, encode_text};

/// Not every client pads its base64, and Node.js does not mind.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bounds for one body; its size in bytes is bounded by whoever reads it from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadLimits {
    /// A body of a million empty messages would make a million packets.
    pub max_packets: usize,
}

/// Decodes the body of a POST: packets separated by `1E`, binary ones as `b` and base64.
pub fn decode_payload(body: impl AsRef<[u8]>, limits: PayloadLimits) -> Result<Vec<Packet>, Error> {
    let text = std::str::from_utf8(body.as_ref()).map_err(|_| Error::InvalidUtf8)?;
    let mut packets = Vec::new();
    for encoded in text.split(char::from(SEPARATOR)) {
        if packets.len() >= limits.max_packets {
            return Err(Error::TooManyPackets { limit: limits.max_packets });
        }
        packets.push(decode_one(encoded)?);
    }
    Ok(packets)
}

fn decode_one(encoded: &str) -> Result<Packet, Error> {
    match encoded.strip_prefix('b') {
        Some(base64) => {
            let data = LENIENT.decode(base64).map_err(|_| Error::InvalidBase64)?;
            Ok(Packet::Binary(Bytes::from(data)))
        }
        None => decode_text(encoded),
    }
}

/// Encodes packets as one body.
pub fn encode_payload<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> String {
    let mut body = String::new();
    for (index, packet) in packets.into_iter().enumerate() {
        if index > 0 {
            body.push(char::from(SEPARATOR));
        }
        body.push_str(&encode_text(packet));
    }
    body
}

/// How long a binary message of `len` bytes is in a body: `b`, then base64 with padding.
pub fn binary_len(len: usize) -> usize {
    len.div_ceil(3).saturating_mul(4).saturating_add(1)
}

/// Builds the body of a response from packets that are encoded already, because sockets share them.
#[derive(Debug, Default, Clone)]
pub struct PayloadBuilder {
    body: Vec<u8>,
    packets: usize,
}

impl PayloadBuilder {
    /// An empty body.
    pub fn new() -> PayloadBuilder {
        PayloadBuilder::default()
    }

    /// Appends a text packet that has its type digit already.
    pub fn push_text(&mut self, packet: &str) {
        self.push_text_parts([packet.as_bytes()]);
    }

    /// Appends a text packet that comes in parts, such as a head of one user and a tail shared by all.
    /// Together they are UTF-8 and have the type digit.
    pub fn push_text_parts<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) {
        self.separate();
        for part in parts {
            self.body.extend_from_slice(part);
        }
    }

    /// Appends a binary message.
    pub fn push_binary(&mut self, data: &[u8]) {
        self.separate();
        let mut encoded = String::with_capacity(binary_len(data.len()));
        encoded.push('b');
        STANDARD.encode_string(data, &mut encoded);
        self.body.extend_from_slice(encoded.as_bytes());
    }

    /// The length of the body so far, in bytes. The next packet adds one byte for the separator, if there is
    /// one before it, and its own length ([`binary_len`] for binary): a body is to stay within `maxPayload`.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is no packet yet.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// How many packets there are.
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// The body.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.body)
    }

    fn separate(&mut self) {
        if self.packets > 0 {
            self.body.push(SEPARATOR);
        }
        self.packets += 1;
    }
}
