use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Server, within};

/// A WebSocket whose frames are written by hand; everything up to the `auth` event is read.
pub async fn raw(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.write_all(&frame(0x81, b"40")).await.expect("sent");
    let mut seen = Vec::new();
    while !seen.ends_with(b"42[\"auth\",{}]") {
        seen.push(within(stream.read_u8()).await.expect("more"));
    }
    stream
}

/// A masked frame, the mask being zero.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        medium @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Reads and forgets until the end.
pub async fn read_only(mut stream: impl AsyncRead + Unpin) {
    let mut scratch = vec![0; 64 << 10];
    while matches!(stream.read(&mut scratch).await, Ok(1..)) {}
}
