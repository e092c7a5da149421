//! The file as redb sees it. Until it is known to be whole, nothing that redb writes reaches it: redb mends what it
//! finds damaged by going back to an older state, and what was refused once must not be taken the second time.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use redb::StorageBackend;

/// A file and what is kept back from it.
#[derive(Debug)]
pub(super) struct Inner {
    file: Box<dyn StorageBackend>,
    kept_back: RwLock<Option<KeptBack>>,
}

/// What redb wrote, in order.
#[derive(Debug)]
struct KeptBack {
    length: u64,
    writes: Vec<(u64, Vec<u8>)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Careful(Arc<Inner>);

impl Careful {
    /// Over `file`, from which writes are kept back if asked to, until [`Inner::release`].
    pub(super) fn new(
        file: impl StorageBackend,
        keeps_back: bool,
    ) -> io::Result<(Self, Arc<Inner>)> {
        let kept_back = if keeps_back {
            Some(KeptBack {
                length: file.len()?,
                writes: Vec::new(),
            })
        } else {
            None
        };
        let inner = Arc::new(Inner {
            file: Box::new(file),
            kept_back: RwLock::new(kept_back),
        });
        Ok((Self(Arc::clone(&inner)), inner))
    }
}

impl Inner {
    /// Writes what was kept back; from now on nothing is.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut kept_back = self
            .kept_back
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(KeptBack { length, writes }) = kept_back.take() else {
            return Ok(());
        };
        if self.file.len()? != length {
            self.file.set_len(length)?;
        }
        for (offset, data) in writes {
            self.file.write(offset, &data)?;
        }
        self.file.sync_data()
    }

    /// Does one of both, as writes are kept back or not.
    fn change(
        &self,
        keep: impl FnOnce(&mut KeptBack),
        change: impl FnOnce(&dyn StorageBackend) -> io::Result<()>,
    ) -> io::Result<()> {
        {
            let kept_back = self
                .kept_back
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            if kept_back.is_none() {
                return change(&*self.file);
            }
        }
        let mut kept_back = self
            .kept_back
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match &mut *kept_back {
            Some(kept_back) => {
                keep(kept_back);
                Ok(())
            }
            None => change(&*self.file),
        }
    }
}

impl StorageBackend for Careful {
    fn len(&self) -> io::Result<u64> {
        let kept_back = self
            .0
            .kept_back
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        match &*kept_back {
            Some(kept_back) => Ok(kept_back.length),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let kept_back = self
            .0
            .kept_back
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(kept_back) = &*kept_back else {
            return self.0.file.read(offset, out);
        };
        let end = offset + out.len() as u64;
        if end > kept_back.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let there = self.0.file.len()?.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        out.fill(0);
        self.0.file.read(offset, &mut out[..there])?;
        for (at, data) in &kept_back.writes {
            let from = offset.max(*at);
            let to = end.min(at + data.len() as u64);
            if from >= to {
                continue;
            }
            let part = |start: u64| -> Option<std::ops::Range<usize>> {
                Some(usize::try_from(from - start).ok()?..usize::try_from(to - start).ok()?)
            };
            if let (Some(target), Some(source)) = (part(offset), part(*at)) {
                out[target].copy_from_slice(&data[source]);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0
            .change(|kept_back| kept_back.length = len, |file| file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.change(|_| {}, StorageBackend::sync_data)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.change(
            |kept_back| {
                kept_back.length = kept_back.length.max(offset + data.len() as u64);
                kept_back.writes.push((offset, data.to_vec()));
            },
            |file| file.write(offset, data),
        )
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn what_is_kept_back_is_read_and_reaches_the_file_only_when_released() {
        let file = InMemoryBackend::new();
        file.set_len(8).unwrap();
        file.write(0, b"abcdefgh").unwrap();
        let (careful, inner) = Careful::new(file, true).unwrap();
        careful.write(2, b"XY").unwrap();
        careful.write(3, b"Z").unwrap();
        careful.set_len(12).unwrap();
        let mut seen = [0; 12];
        careful.read(0, &mut seen).unwrap();
        assert_eq!(&seen, b"abXZefgh\0\0\0\0");
        let mut below = [0; 8];
        inner.file.read(0, &mut below).unwrap();
        assert_eq!((&below, inner.file.len().unwrap()), (b"abcdefgh", 8));
        inner.release().unwrap();
        careful.write(11, b"!").unwrap();
        inner.file.read(0, &mut below).unwrap();
        assert_eq!((&below, inner.file.len().unwrap()), (b"abXZefgh", 12));
        let mut last = [0];
        inner.file.read(11, &mut last).unwrap();
        assert_eq!(&last, b"!");
    }
}
