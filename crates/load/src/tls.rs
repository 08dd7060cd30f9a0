//! TLS on a connection that does not block: who the server has to be, and the cipher between [`crate::pipe::Pipe`] and its
//! socket.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

/// Who the server has to prove to be.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `name` is a host name or an IP address. `authority` is trusted beside those of the system: certificates in PEM.
    pub fn new(name: &str, authority: Option<&[u8]>) -> Result<Self, String> {
        let server = ServerName::try_from(name.to_owned());
        let server = server.map_err(|_| format!("{name} can be in no certificate"))?;
        let mut roots = RootCertStore::empty();
        // What of the system's cannot be read is missed when a certificate needs it.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(authority) = authority {
            let found = CertificateDer::pem_slice_iter(authority).collect::<Result<Vec<_>, _>>();
            let found = found.map_err(|problem| format!("no certificates in PEM: {problem}"))?;
            if roots.add_parsable_certificates(found).0 == 0 {
                return Err("there is no certificate in the authority's file".to_owned());
            }
        }
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|problem| problem.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
        // Each of the clients is somebody new, who pays for a full handshake, and so does the server.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), name: server })
    }

    pub(crate) fn begin(&self) -> io::Result<Cipher> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let mut connection = connection.map_err(io::Error::other)?;
        // What waits is bounded by who sends, with and without TLS.
        connection.set_buffer_limit(None);
        Ok(Cipher(Box::new(connection)))
    }
}

/// One connection's.
#[derive(Debug)]
pub(crate) struct Cipher(Box<ClientConnection>);

impl Cipher {
    /// Takes bytes and writes what the kernel takes. They may wait for the handshake.
    pub(crate) fn send(&mut self, bytes: &[u8], stream: &mut impl Write) -> io::Result<()> {
        self.0.writer().write_all(bytes)?;
        self.flush(stream)
    }

    pub(crate) fn flush(&mut self, stream: &mut impl Write) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until `space` is full or there is nothing more, as the kernel says only once that there is something.
    /// `Ok(0)`: it has ended. `WouldBlock`: nothing came.
    pub(crate) fn read(
        &mut self,
        space: &mut [u8],
        stream: &mut (impl Read + Write),
    ) -> io::Result<usize> {
        let mut count = 0;
        let mut ended = false;
        while let Some(rest) = space.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match self.0.reader().read(rest) {
                Ok(0) => ended = true,
                Ok(more) => {
                    count += more;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // It ended without saying so.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => ended = true,
                Err(error) => return Err(error),
            }
            if ended || !self.receive(stream)? {
                break;
            }
        }
        // Answers of the handshake.
        self.flush(stream)?;
        if count == 0 && !ended { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    /// Whether something came, be it the end.
    fn receive(&mut self, stream: &mut (impl Read + Write)) -> io::Result<bool> {
        match self.0.read_tls(stream) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        if let Err(problem) = self.0.process_new_packets() {
            // The server is told why, if it can be.
            let _ = self.flush(stream);
            return Err(io::Error::new(ErrorKind::InvalidData, problem));
        }
        Ok(true)
    }
}
