//! Amounts of bytes: `984 KiB`, `4.0 KiB`, `57 MiB`.

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes in powers of 1024: one decimal below ten units, none above.
pub fn bytes(count: u64) -> String {
    if count < 10 {
        return format!("{count} B");
    }
    let mut exponent = 0;
    let mut scale = 1.0_f64;
    while count as f64 / scale >= 1024.0 && exponent + 1 < UNITS.len() {
        scale *= 1024.0;
        exponent += 1;
    }
    let value = (count as f64 / scale * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 {
        format!("{value:.1} {}", UNITS[exponent])
    } else {
        format!("{value:.0} {}", UNITS[exponent])
    }
}

/// Mebibytes, as [`bytes`].
pub fn mebibytes(count: u64) -> String {
    bytes(count.saturating_mul(1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_at_least() {
        let cases = [
            (0, "0 B"),
            (5, "5 B"),
            (11, "11 B"),
            (141, "141 B"),
            (4096, "4.0 KiB"),
            (984 * 1024, "984 KiB"),
            (2_777_088, "2.6 MiB"),
            (3_571_712, "3.4 MiB"),
            (25_276_514_304, "24 GiB"),
            (270_553_174_016, "252 GiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(mebibytes(300), "300 MiB");
        assert_eq!(mebibytes(2560), "2.5 GiB");
    }
}
