//! The folder of a job file, whose files its functions may read.

use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path, PathBuf},
};

use crate::hcl::functions::Files;

/// The longest file that is read, in bytes: more would not fit into a job.
pub const MAX_FILE: u64 = 1 << 20;
/// The most files that are listed.
const MAX_LISTED: usize = 10_000;
/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 32;

/// Files beneath one folder; what is outside it is refused, whether named by `..`, from the root, or by a link.
pub struct Folder {
    root: PathBuf,
    home: Option<String>,
}

impl Folder {
    /// The files beneath `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            home: None,
        }
    }

    /// With the user's home folder, which `~` stands for.
    #[must_use]
    pub fn with_home(mut self, home: Option<String>) -> Self {
        self.home = home;
        self
    }

    /// The whole path of what is named, when its name stays beneath the folder.
    fn named(&self, path: &str) -> Result<PathBuf, String> {
        let root = self.whole_root()?;
        let mut whole = if Path::new(path).is_absolute() {
            PathBuf::new()
        } else {
            root.clone()
        };
        for part in Path::new(path).components() {
            match part {
                Component::ParentDir => {
                    whole.pop();
                }
                Component::CurDir => {}
                part => whole.push(part),
            }
        }
        if whole.starts_with(&root) {
            Ok(whole)
        } else {
            Err(outside(path, &root))
        }
    }

    fn whole_root(&self) -> Result<PathBuf, String> {
        self.root
            .canonicalize()
            .map_err(|error| format!("the job file's folder can't be read: {}", plain(&error)))
    }

    /// What is named, with links followed, when it is beneath the folder; `None` when nothing is there.
    fn found(&self, path: &str) -> Result<Option<PathBuf>, String> {
        let named = self.named(path)?;
        match named.canonicalize() {
            Ok(real) => {
                let root = self.whole_root()?;
                if real.starts_with(&root) {
                    Ok(Some(real))
                } else {
                    Err(outside(path, &root))
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(format!("failed to read {path}: {}", plain(&error))),
        }
    }
}

fn outside(path: &str, root: &Path) -> String {
    format!(
        "{path} is outside the job file's folder {}: only files beneath it may be read",
        root.display()
    )
}

/// A system error without its number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let Some(real) = self.found(path)? else {
            return Err(format!("no file exists at {path}"));
        };
        let failed = |error: &std::io::Error| format!("failed to read {path}: {}", plain(error));
        let kind = real.metadata().map_err(|error| failed(&error))?;
        if !kind.is_file() {
            // A pipe would wait for a writer.
            return Err(format!("failed to read {path}: it is not a regular file"));
        }
        let mut bytes = Vec::new();
        File::open(real)
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
            .map_err(|error| failed(&error))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(format!(
                "failed to read {path}: it is longer than {MAX_FILE} bytes"
            ));
        }
        Ok(bytes)
    }

    fn exists(&self, path: &str) -> Result<bool, String> {
        let Some(real) = self.found(path)? else {
            return Ok(false);
        };
        match real.metadata() {
            Ok(kind) if kind.is_file() => Ok(true),
            Ok(_) => Err(format!("{path} is not a regular file")),
            Err(error) => Err(format!("failed to stat {path}: {}", plain(&error))),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, String> {
        let Some(top) = self.found(folder)? else {
            return Ok(Vec::new());
        };
        let mut files = Vec::new();
        let mut folders = vec![(top, String::new(), 0)];
        while let Some((folder, prefix, depth)) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let shown = format!("{prefix}{name}");
                // Links are not followed: they may lead out, or in a circle.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => {
                        folders.push((entry.path(), format!("{shown}/"), depth + 1));
                    }
                    Ok(kind) if kind.is_file() => files.push(shown),
                    _ => {}
                }
                if files.len() + folders.len() > MAX_LISTED {
                    return Err(format!("there are more than {MAX_LISTED} files beneath it"));
                }
            }
        }
        Ok(files)
    }

    fn absolute(&self, path: &str) -> Result<String, String> {
        let root = self.whole_root()?;
        Ok(root
            .join(path)
            .components()
            .fold(PathBuf::new(), |mut whole, part| {
                match part {
                    Component::ParentDir => {
                        whole.pop();
                    }
                    Component::CurDir => {}
                    part => whole.push(part),
                }
                whole
            })
            .display()
            .to_string())
    }

    fn home(&self) -> Result<String, String> {
        self.home
            .clone()
            .ok_or_else(|| "the home folder is not known".to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_the_folder_is_refused_however_it_is_named() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("job");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(base.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("in"), "i").unwrap();
        std::fs::write(root.join("sub/deep"), "d").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("leak")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        std::os::unix::fs::symlink("in", root.join("alias")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let files = Folder::new(&root);
        let whole = root.canonicalize().unwrap().join("in");
        for path in ["in", "./in", "sub/../in", "alias", whole.to_str().unwrap()] {
            assert_eq!(files.read(path).as_deref(), Ok(b"i".as_slice()), "{path}");
            assert_eq!(files.exists(path), Ok(true), "{path}");
        }
        for path in [
            "../secret",
            "sub/../../secret",
            "/etc/passwd",
            "leak",
            "up/secret",
            "up/job/../secret",
            "../job/../secret",
        ] {
            let why = files.read(path).unwrap_err();
            assert!(
                why.contains("outside the job file's folder"),
                "{path}: {why}"
            );
            assert!(files.exists(path).is_err(), "{path}");
        }
        for path in ["..", "/", "up"] {
            assert!(files.list(path).is_err(), "{path}");
        }
        assert!(files.read("loop").is_err());
        assert!(
            files
                .read("sub")
                .unwrap_err()
                .contains("not a regular file")
        );
        assert!(files.read("nope").unwrap_err().contains("no file exists"));
        assert_eq!(files.exists("nope"), Ok(false));
        let mut list = files.list(".").unwrap();
        list.sort();
        assert_eq!(list, ["in", "sub/deep"]);
        assert_eq!(files.list("nope"), Ok(Vec::new()));
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let file = File::create(root.path().join("long")).unwrap();
        file.set_len(MAX_FILE + 1).unwrap();
        let why = Folder::new(root.path()).read("long").unwrap_err();
        assert!(why.contains("longer than 1048576 bytes"), "{why}");
    }
}
