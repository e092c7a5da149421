//! The frames in which an engine sends the two streams of a container.

use crate::logs::LogKind;

/// Where in the engine's frames a reader is: eight bytes of head (the stream's number, three zeros, the length), then
/// so much data.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; 8],
    head_length: usize,
    left: usize,
}

impl Frames {
    /// Takes the next bytes apart. The data of a frame may come in pieces, of which the last is marked.
    pub(super) fn split(&mut self, mut data: &[u8], mut take: impl FnMut(LogKind, &[u8], bool)) {
        while !data.is_empty() {
            if self.left == 0 {
                let missing = &mut self.head[self.head_length..];
                let length = missing.len().min(data.len());
                missing[..length].copy_from_slice(&data[..length]);
                self.head_length += length;
                data = &data[length..];
                if self.head_length < self.head.len() {
                    return;
                }
                self.head_length = 0;
                let [.., a, b, c, d] = self.head;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                continue;
            }
            let (part, rest) = data.split_at(self.left.min(data.len()));
            let kind = if self.head[0] == 2 {
                LogKind::Stderr
            } else {
                LogKind::Stdout
            };
            self.left -= part.len();
            take(kind, part, self.left == 0);
            data = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_wherever_the_stream_is_cut() {
        let mut stream = Vec::new();
        for (number, text) in [
            (1_u8, "one"),
            (2, "two"),
            (1, ""),
            (2, "three"),
            (1, "four"),
        ] {
            stream.extend([number, 0, 0, 0, 0, 0, 0, text.len() as u8]);
            stream.extend(text.as_bytes());
        }
        for size in 1..stream.len() {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut frames = Frames::default();
            for part in stream.chunks(size) {
                frames.split(part, |kind, data, _| match kind {
                    LogKind::Stdout => out.extend_from_slice(data),
                    LogKind::Stderr => err.extend_from_slice(data),
                });
            }
            assert_eq!(out, b"onefour", "cut each {size} bytes");
            assert_eq!(err, b"twothree", "cut each {size} bytes");
        }
    }
}
