//! Writing a file so that nobody ever sees half of it: a new file beside it takes its place.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

/// Puts `text` in the place of the file at `path`, which keeps its mode and owner; a link stays one. The file is made
/// if there is none.
pub fn whole(path: &Path, text: &str) -> io::Result<()> {
    // A file that may not be written is not replaced either.
    let (path, old) = match std::fs::OpenOptions::new().write(true).open(path) {
        Ok(mut file) => {
            let old = file.metadata()?;
            if !old.is_file() {
                // A device or a pipe is written to, not replaced.
                return file.write_all(text.as_bytes());
            }
            (path.canonicalize()?, Some(old))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
        Err(error) => return Err(error),
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // The umask takes from this mode what a new file should not have.
    let mut new = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Some(old) = old {
        new.as_file().set_permissions(old.permissions())?;
        // Only root may give a file away; for anyone else it is their own.
        let _ = fchown(new.as_file(), Some(old.uid()), Some(old.gid()));
    }
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a", &link).unwrap();
        whole(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        whole(&folder.path().join("c"), "x").unwrap();
        assert!(whole(&folder.path().join("no/c"), "x").is_err());
    }
}
