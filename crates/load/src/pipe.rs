//! Bytes on their way out, and into one buffer that all connections share.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{IpAddr, SocketAddr},
};

use mio::{Interest, Registry, Token, net::TcpStream};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    target::Target,
    tls::{Cipher, Tls},
};

/// Bytes that are read at once.
pub const SCRATCH: usize = 256 << 10;

/// A connection that does not block.
#[derive(Debug)]
pub struct Pipe {
    stream: TcpStream,
    /// What the kernel has not taken yet.
    out: Vec<u8>,
    cipher: Option<Cipher>,
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(usize),
    Nothing,
    End,
}

impl Pipe {
    /// Begins to connect.
    pub fn open(
        target: &Target,
        source: Option<IpAddr>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let address = target.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if is_under_way(&error) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let cipher = target.tls.as_ref().map(Tls::begin).transpose()?;
        Ok(Self { stream, out: Vec::new(), cipher })
    }

    /// Whether it is connected by now.
    pub fn check(&self) -> io::Result<bool> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes what the kernel takes and keeps the rest.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(cipher) = &mut self.cipher {
            return cipher.send(bytes, &mut self.stream);
        }
        if !self.out.is_empty() {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write(bytes)?;
        self.out.extend_from_slice(bytes.get(written..).unwrap_or_default());
        Ok(())
    }

    /// Goes on when the kernel takes more.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(cipher) = &mut self.cipher {
            return cipher.flush(&mut self.stream);
        }
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let written = self.write(&out)?;
        // A buffer that is no longer needed is given back: there may be thousands.
        self.out = out.get(written..).unwrap_or_default().to_vec();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.write(bytes.get(written..).unwrap_or_default()) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Reads into `scratch` behind `rest`, what was left of the last read. Gives the length of both.
    pub fn read(&mut self, rest: &mut Vec<u8>, scratch: &mut Vec<u8>) -> io::Result<Read> {
        let kept = rest.len();
        if scratch.len() < kept + SCRATCH {
            scratch.resize(kept + SCRATCH, 0);
        }
        if let Some(front) = scratch.get_mut(..kept) {
            front.copy_from_slice(rest);
        }
        let space = scratch.get_mut(kept..).unwrap_or_default();
        let read = match &mut self.cipher {
            Some(cipher) => cipher.read(space, &mut self.stream),
            None => self.stream.read(space),
        };
        match read {
            Ok(0) => Ok(Read::End),
            Ok(count) => {
                // Given back: most connections never need one again.
                *rest = Vec::new();
                Ok(Read::Bytes(kept + count))
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(Read::Nothing)
            }
            Err(error) => Err(error),
        }
    }

    pub fn close(mut self, registry: &Registry) {
        // It is closed by being dropped, registered or not.
        let _ = registry.deregister(&mut self.stream);
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
