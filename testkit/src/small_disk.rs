//! A disk that a test fills.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A small disk of its own (a tmpfs), taken away at the end.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// A disk of so many MiB; only root can make one.
    ///
    /// # Panics
    /// When it can't be mounted.
    #[must_use]
    pub fn mount(mib: u32) -> Self {
        let root = tempfile::tempdir().expect("a folder to mount it on");
        let options = format!("size={mib}m,mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "rove-test"])
            .arg(root.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()));
        Self(root)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Writes until not a byte is left.
    ///
    /// # Panics
    /// When the file that fills it can't be made.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file that fills it");
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not filled.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the file that fills it");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
