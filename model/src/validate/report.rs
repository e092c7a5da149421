//! A tree of complaints that prints as Go's `multierror` does, and knows the field of each leaf.

use std::{borrow::Cow, fmt};

use crate::shortened::{quoted, shortened};

/// Which field of a job is meant, as `group["cache"].task["redis"].driver`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPath {
    blocks: Vec<Block>,
    field: Option<Cow<'static, str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    name: &'static str,
    index: usize,
    label: String,
}

impl FieldPath {
    /// The path of a block inside: its kind, its number among its kind (from 0), its label if it has one.
    #[must_use]
    pub fn block(&self, name: &'static str, index: usize, label: &str) -> Self {
        let mut blocks = self.blocks.clone();
        blocks.push(Block {
            name,
            index,
            label: label.to_owned(),
        });
        Self {
            blocks,
            field: None,
        }
    }

    /// The path of a field inside.
    #[must_use]
    pub fn field(&self, name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            blocks: self.blocks.clone(),
            field: Some(name.into()),
        }
    }

    /// The path by numbers, `group[0].task[0].driver`: no two fields share one. A parser files positions under it.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::new();
        for block in &self.blocks {
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(&format!("{}[{}]", block.name, block.index));
        }
        if let Some(field) = &self.field {
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(field);
        }
        key
    }

    /// Its key and those of the blocks around it, innermost first: where to look for a position.
    #[must_use]
    pub fn keys_outwards(&self) -> Vec<String> {
        let mut path = self.clone();
        let mut keys = vec![path.key()];
        path.field = None;
        loop {
            let key = path.key();
            if keys.last() != Some(&key) {
                keys.push(key);
            }
            if path.blocks.pop().is_none() {
                return keys;
            }
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.blocks.is_empty() && self.field.is_none() {
            return f.write_str("job");
        }
        let mut first = true;
        for block in &self.blocks {
            if !std::mem::take(&mut first) {
                f.write_str(".")?;
            }
            f.write_str(block.name)?;
            if !block.label.is_empty() {
                write!(f, "[{}]", quoted(&block.label))?;
            } else if block.index > 0 {
                write!(f, "[{}]", block.index)?;
            }
        }
        if let Some(field) = &self.field {
            if !first {
                f.write_str(".")?;
            }
            f.write_str(&shortened(field))?;
        }
        Ok(())
    }
}

/// One complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field it is about.
    pub path: FieldPath,
    /// What is wrong.
    pub message: String,
}

#[derive(Clone, Debug)]
enum Entry {
    Leaf(Problem),
    List { prefix: String, inner: Report },
}

/// A list of complaints, some of them lists themselves.
#[derive(Clone, Debug, Default)]
pub struct Report {
    entries: Vec<Entry>,
}

impl Report {
    /// Nothing to complain about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn add(&mut self, path: FieldPath, message: impl Into<String>) {
        self.entries.push(Entry::Leaf(Problem {
            path,
            message: message.into(),
        }));
    }

    /// Adds a list as one entry, if it holds anything.
    pub(super) fn nest(&mut self, prefix: &str, inner: Self) {
        if !inner.is_empty() {
            self.entries.push(Entry::List {
                prefix: prefix.to_owned(),
                inner,
            });
        }
    }

    /// The texts of the outermost entries: `ValidationErrors` of the API.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.entries.iter().map(ToString::to_string).collect()
    }

    /// Every single complaint with its field, in order.
    #[must_use]
    pub fn problems(&self) -> Vec<&Problem> {
        let mut found = Vec::new();
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Problem>) {
        for entry in &self.entries {
            match entry {
                Entry::Leaf(problem) => found.push(problem),
                Entry::List { inner, .. } => inner.collect(found),
            }
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(problem) => f.write_str(&problem.message),
            Self::List { prefix, inner } => write!(f, "{prefix}{inner}"),
        }
    }
}

impl fmt::Display for Report {
    /// As `multierror` formats a list: a count, an entry a line, two line ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entries.as_slice() {
            [] => Ok(()),
            [only] => write!(f, "1 error occurred:\n\t* {only}\n\n"),
            entries => {
                writeln!(f, "{} errors occurred:", entries.len())?;
                for (index, entry) in entries.iter().enumerate() {
                    let end = if index + 1 < entries.len() {
                        "\n"
                    } else {
                        "\n\n"
                    };
                    write!(f, "\t* {entry}{end}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Report {}
