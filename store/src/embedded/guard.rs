//! Work on a file that may be damaged: redb panics where a page is not what it should be, and that is an error here
//! like any other.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::store::StoreError;

thread_local! {
    static GUARDED: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, a panic of this thread is not printed: whoever guards it says what it was in its error.
struct Guard;

impl Guard {
    fn new() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = take_hook();
            set_hook(Box::new(move |panic| {
                if GUARDED.get() == 0 {
                    before(panic);
                }
            }));
        });
        GUARDED.set(GUARDED.get() + 1);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDED.set(GUARDED.get().saturating_sub(1));
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it can't be read")
}

/// Does `work`; a panic in it is told as damage.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let guard = Guard::new();
    // What `work` had in its hands is dropped, or looked at anew before it is used again.
    let done = catch_unwind(AssertUnwindSafe(work));
    drop(guard);
    done.unwrap_or_else(|panic| {
        // Not redb's words for it, which tell nobody anything, but in the log they may.
        tracing::debug!(panic = words(&*panic), "reading the store's file broke off");
        Err(StoreError::Corrupt(
            "a page is not what was written".to_owned(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_is_shown_again() {
        let broken: Result<(), _> = guarded(|| panic!("a page"));
        assert!(matches!(broken, Err(StoreError::Corrupt(_))));
        assert!(guarded(|| Ok(())).is_ok());
        assert_eq!(GUARDED.get(), 0);
    }
}
