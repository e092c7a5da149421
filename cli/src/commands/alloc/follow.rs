//! Reading the frames of a followed log or file: JSON objects one after the other, empty ones between them as a sign of
//! life.

use base64::Engine as _;
use serde::Deserialize;

use crate::client::Stream;
use crate::command::failed;
use crate::failure::Failure;

/// The most bytes that may wait for the end of a frame; an agent writes at most 64 KiB in one.
const FRAME: usize = 4 << 20;

/// One frame.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Frame {
    #[serde(rename = "Data")]
    data: Option<String>,
}

/// A stream of frames.
#[derive(Debug)]
pub struct Frames {
    stream: Stream,
    waiting: Vec<u8>,
}

impl Frames {
    /// The frames of a stream.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            waiting: Vec::new(),
        }
    }

    /// What comes next: bytes, perhaps none when only a sign of life came, or nothing at the end. May be dropped
    /// between two pieces without losing any.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(piece) = self
            .stream
            .next()
            .await
            .map_err(failed("Error reading file"))?
        else {
            return Ok(None);
        };
        self.waiting.extend_from_slice(&piece);
        let (bytes, used) = decode(&self.waiting)?;
        self.waiting.drain(..used);
        if self.waiting.len() > FRAME {
            return Err(Failure::new("Error reading file: a frame does not end"));
        }
        Ok(Some(bytes))
    }
}

fn decode(waiting: &[u8]) -> Result<(Vec<u8>, usize), Failure> {
    let mut bytes = Vec::new();
    let mut used = 0;
    let mut frames = serde_json::Deserializer::from_slice(waiting).into_iter::<Frame>();
    while let Some(frame) = frames.next() {
        match frame {
            Ok(frame) => {
                used = frames.byte_offset();
                if let Some(data) = frame.data {
                    let data = base64::engine::general_purpose::STANDARD.decode(data);
                    bytes.extend(
                        data.map_err(|e| Failure::new(format!("Error reading file: {e}")))?,
                    );
                }
            }
            Err(error) if error.is_eof() => break,
            Err(error) => return Err(Failure::new(format!("Error reading file: {error}"))),
        }
    }
    Ok((bytes, used))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn frames_are_read_whole_and_the_rest_waits() {
        let text = br#"{"Data":"b3V0LWxpbmUK","File":"alloc/logs/say.stdout.0","Offset":9}{}{"Data":"b3V0"#;
        let (bytes, used) = decode(text).unwrap();
        assert_eq!(bytes, b"out-line\n");
        assert_eq!(&text[used..], br#"{"Data":"b3V0"#);
        assert_eq!(decode(b"{}{}\n").unwrap().0, b"");
        assert!(decode(b"rubbish").is_err());
        assert!(decode(br#"{"Data":"*"}"#).is_err());
    }
}
