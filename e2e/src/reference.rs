//! The recorded behaviour that rove is compatible with; it is not part of a checkout.

use std::path::PathBuf;

use crate::command::{available, workspace};

/// The folder of reference data: `$ROVE_REFERENCE`, or `shared/reference` beside the checkout; `None` (with a word)
/// where it is missing.
///
/// # Panics
/// When it is missing and `CI` is `true`.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let path = std::env::var_os("ROVE_REFERENCE")
        .map_or_else(|| workspace().join("../shared/reference"), PathBuf::from);
    available("the reference data (ROVE_REFERENCE)", path.is_dir()).then_some(path)
}
