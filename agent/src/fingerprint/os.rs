//! Kernel, operating system and host name.

use nix::sys::{signal::Signal, utsname::uname};

use super::{FingerprintError, Found, Roots};

/// The host's name.
pub(super) fn fingerprint(roots: &Roots, found: &mut Found) -> Result<String, FingerprintError> {
    let system = uname().map_err(|errno| FingerprintError::Name(errno.into()))?;
    let machine = system.machine().to_string_lossy().into_owned();
    let name = system.nodename().to_string_lossy().into_owned();
    found.set("kernel.name", "linux");
    found.set("kernel.version", system.release().to_string_lossy());
    found.set("kernel.arch", machine.as_str());
    found.set("cpu.arch", go_arch(&machine));
    found.set("unique.hostname", name.as_str());
    let (os, version) = os_release(roots);
    found.set("os.name", os);
    found.set("os.version", version);
    let mut signals: Vec<&str> = Signal::iterator().map(Signal::as_str).collect();
    signals.sort_unstable();
    found.set("os.signals", signals.join(","));
    Ok(name)
}

/// The machine in the words that job files use.
fn go_arch(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        "armv6l" | "armv7l" => "arm",
        other => other,
    }
}

fn os_release(roots: &Roots) -> (String, String) {
    let release = std::fs::read_to_string(roots.etc.join("os-release")).unwrap_or_default();
    let value = |name: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    let name = value("ID");
    // Debian's release file leaves the point release out.
    let point = std::fs::read_to_string(roots.etc.join("debian_version"))
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| name == "debian" && text.starts_with(|first: char| first.is_ascii_digit()));
    (name, point.unwrap_or_else(|| value("VERSION_ID")))
}
