//! Functions on files and their paths.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{Arguments, Function, Outcome, bounded, failed, function, text};
use crate::value::Value;

/// Files that a job file may read. Paths are relative to the job file's folder; what is outside it is refused.
pub trait Files {
    /// What a file holds.
    ///
    /// # Errors
    /// Why it can't be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// Whether there is a file.
    ///
    /// # Errors
    /// Why that can't be told, or that something else is there.
    fn exists(&self, path: &str) -> Result<bool, String>;

    /// The files in a folder and those beneath it, with slashes, relative to it; none where there is no such folder.
    ///
    /// # Errors
    /// Why it can't be read.
    fn list(&self, folder: &str) -> Result<Vec<String>, String>;

    /// The whole path of what is named.
    ///
    /// # Errors
    /// Why there is none.
    fn absolute(&self, path: &str) -> Result<String, String>;

    /// The user's home folder.
    ///
    /// # Errors
    /// Why there is none.
    fn home(&self) -> Result<String, String>;
}

/// No files: on a server.
pub struct NoFiles;

const DISABLED: &str = "filesystem function disabled";

impl Files for NoFiles {
    fn read(&self, _path: &str) -> Result<Vec<u8>, String> {
        Err(DISABLED.to_owned())
    }

    fn exists(&self, _path: &str) -> Result<bool, String> {
        Err(DISABLED.to_owned())
    }

    fn list(&self, _folder: &str) -> Result<Vec<String>, String> {
        Err(DISABLED.to_owned())
    }

    fn absolute(&self, _path: &str) -> Result<String, String> {
        Err(DISABLED.to_owned())
    }

    fn home(&self) -> Result<String, String> {
        Err(DISABLED.to_owned())
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    function("abspath", &[text("path")], |a| {
        let path = a.files.absolute(a.text(0)?).map_err(failed)?;
        Ok(Value::String(path))
    }),
    function("basename", &[text("path")], |a| {
        Ok(Value::text(base(a.text(0)?)))
    }),
    function("dirname", &[text("path")], |a| {
        Ok(Value::String(folder_of(a.text(0)?)))
    }),
    function("file", &[text("path")], |a| {
        let path = a.text(0)?;
        let bytes = a.files.read(path).map_err(failed)?;
        String::from_utf8(bytes).map(Value::String).map_err(|_| {
            failed(format!(
                "contents of {path} are not valid UTF-8; use the filebase64 function to obtain the Base64 encoded contents"
            ))
        })
    }),
    function("filebase64", &[text("path")], |a| {
        let bytes = a.files.read(a.text(0)?).map_err(failed)?;
        Ok(Value::String(BASE64_STANDARD.encode(bytes)))
    }),
    function("fileexists", &[text("path")], |a| {
        a.files.exists(a.text(0)?).map(Value::Bool).map_err(failed)
    }),
    function("fileset", &[text("path"), text("pattern")], file_set),
    function("pathexpand", &[text("path")], |a| {
        let path = a.text(0)?;
        let beneath = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            Some(_) => return Err(failed("cannot expand user-specific home dir")),
            None => return Ok(Value::text(path)),
        };
        let home = a.files.home().map_err(failed)?;
        Ok(Value::String(format!("{home}{beneath}")))
    }),
];

fn base(text: &str) -> &str {
    let trimmed = text.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((_, name)) => name,
        None if trimmed.is_empty() && text.starts_with('/') => "/",
        None if trimmed.is_empty() => ".",
        None => trimmed,
    }
}

/// All before the last slash, with doubled slashes, `.` and `..` taken out.
fn folder_of(text: &str) -> String {
    let folder = text.rsplit_once('/').map_or("", |(folder, _)| folder);
    let rooted = text.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// The files beneath a folder that a pattern fits, in order.
fn file_set(a: &Arguments<'_>) -> Outcome {
    let (folder, pattern) = (a.text(0)?, a.text(1)?);
    let wrong = |why: &str| failed(format!("failed to glob pattern ({pattern}): {why}"));
    let fits = glob(pattern).map_err(wrong)?;
    let mut files = a.files.list(folder).map_err(failed)?;
    bounded(files.len(), pattern.len().max(1))?;
    files.retain(|file| fits.is_match(file));
    files.sort();
    Ok(Value::List(files.into_iter().map(Value::String).collect()))
}

/// `*`, `?`, `[…]`, `{a,b}` within a name, `**` over folders.
fn glob(pattern: &str) -> Result<regex::Regex, &'static str> {
    const WRONG: &str = "syntax error in pattern";
    let mut out = "(?s)\\A".to_owned();
    let mut rest = pattern
        .strip_prefix("./")
        .unwrap_or(pattern)
        .chars()
        .peekable();
    let mut open = 0;
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                if rest.next_if_eq(&'/').is_some() {
                    out.push_str("(?:.*/)?");
                } else {
                    out.push_str(".*");
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            ',' if open > 0 => out.push('|'),
            '[' => {
                out.push('[');
                if rest.next_if(|c| matches!(c, '^' | '!')).is_some() {
                    out.push('^');
                }
                loop {
                    match rest.next() {
                        Some(']') => break,
                        Some('\\') => {
                            let c = rest.next().ok_or(WRONG)?;
                            out.push_str(&regex::escape(&c.to_string()));
                        }
                        Some('-') => out.push('-'),
                        Some(c) => out.push_str(&regex::escape(&c.to_string())),
                        None => return Err(WRONG),
                    }
                }
                out.push(']');
            }
            '\\' => {
                let c = rest.next().ok_or(WRONG)?;
                out.push_str(&regex::escape(&c.to_string()));
            }
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    if open > 0 {
        return Err(WRONG);
    }
    out.push_str("\\z");
    let built = regex::RegexBuilder::new(&out).size_limit(1 << 20).build();
    built.map_err(|_| WRONG)
}
