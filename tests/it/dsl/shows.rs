//! A server that does no more than show a certificate, to whoever asks.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// It goes with this value.
pub struct Shows {
    port: u16,
    is_over: Arc<AtomicBool>,
}

impl Shows {
    /// A certificate and its key, in one file.
    pub fn start(pem: &str) -> Self {
        let pem = fs::read(pem).expect("a file");
        let certificate = CertificateDer::from_pem_slice(&pem).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(&pem).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").expect("a port"));
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a socket");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        thread::spawn(move || {
            while !over.load(Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => _ = show(stream, &config),
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        Self { port, is_over }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Shows {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

fn show(mut stream: TcpStream, config: &Arc<ServerConfig>) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut server = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    while server.is_handshaking() {
        server.complete_io(&mut stream)?;
    }
    Ok(())
}
