//! As much HTTP as it takes to ask an engine for a stream of bytes, without an async runtime.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

/// The longest head of an answer.
const MAX_HEAD: usize = 16 << 10;
/// How long the engine may take to answer.
const ASK_LIMIT: Duration = Duration::from_secs(30);

/// A connection to an engine.
pub(super) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    pub(super) fn open(endpoint: &str) -> io::Result<Self> {
        if let Some(path) = endpoint.strip_prefix("unix://") {
            return UnixStream::connect(path).map(Self::Unix);
        }
        let address = endpoint
            .strip_prefix("tcp://")
            .or_else(|| endpoint.strip_prefix("http://"))
            .ok_or_else(|| io::Error::other(format!("no way to reach {endpoint}")))?;
        TcpStream::connect(address.trim_end_matches('/')).map(Self::Tcp)
    }

    /// How long a read may take.
    pub(super) fn limit(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(limit),
            Self::Tcp(stream) => stream.set_read_timeout(limit),
        }
    }

    /// Sends a request, and reads the answer's head to its last byte. The status is returned.
    pub(super) fn request(&mut self, head: &str) -> io::Result<u16> {
        self.limit(Some(ASK_LIMIT))?;
        self.write_all(head.as_bytes())?;
        let mut answer = Vec::with_capacity(512);
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_HEAD || self.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            answer.push(byte[0]);
        }
        std::str::from_utf8(&answer)
            .ok()
            .and_then(|text| text.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(buffer),
            Self::Tcp(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
