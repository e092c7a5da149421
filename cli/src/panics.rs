//! What is said when rove itself is at fault.

use std::io::Write as _;
use std::panic::PanicHookInfo;

/// Lets every panic of this process end in a message that a user can act on; a reader that has gone is no second one.
pub fn tell() {
    std::panic::set_hook(Box::new(|info| {
        let mut text = message(info);
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            text.push_str(&format!("{backtrace}\n"));
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("it does not say why");
    let place = info.location().map_or_else(String::new, |place| {
        format!(" ({}:{})", place.file(), place.line())
    });
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    format!(
        "rove {version}: a fault in rove itself{place}: {what}\n\
         The part that met it (thread {thread:?}) has stopped; what was stored before is not touched. Please report these lines \
         with what you did at {repository}/issues; with RUST_BACKTRACE=1 in the environment they say more.\n",
        version = env!("CARGO_PKG_VERSION"),
        repository = env!("CARGO_PKG_REPOSITORY"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_its_place_and_what_to_do() {
        let (send, receive) = std::sync::mpsc::channel();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let _ = send.send(message(info));
        }));
        let ended = std::panic::catch_unwind(|| panic!("no {} left", "room"));
        std::panic::set_hook(before);
        assert!(ended.is_err());
        let texts: Vec<String> = receive.try_iter().collect();
        let text = texts
            .iter()
            .find(|text| text.contains("no room left"))
            .expect("it was told");
        for said in [
            "panics.rs:",
            "fault in rove itself",
            "/issues",
            "RUST_BACKTRACE=1",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}
