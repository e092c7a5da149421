//! Numbers as expressions have them: whole ones are exact, others have 512 binary digits.
//!
//! So `0.1 + 0.2` is `0.3`, and what is printed is the shortest text that reads back as the same number.

use std::{cmp::Ordering, fmt};

use num_bigint::BigUint;

/// Binary digits of a number that isn't whole.
const PRECISION: u64 = 512;
/// Binary digits of what a function computed in hardware floats (`log`, `pow`).
const HARDWARE_PRECISION: u64 = 53;
/// The largest power of two, either way: what is beyond is refused, so no number is long.
const MAX_EXPONENT: i64 = 8_192;
/// The longest text that is read as a number.
const MAX_TEXT: usize = 4_096;

/// A number.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// A whole number that fits.
    Int(i128),
    /// Any other.
    Float(Box<Float>),
}

/// `mantissa · 2^exponent`, the mantissa odd (or nought).
#[derive(Clone, Debug)]
pub struct Float {
    negative: bool,
    mantissa: BigUint,
    exponent: i64,
    precision: u64,
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.negative == other.negative
            && self.exponent == other.exponent
            && self.mantissa == other.mantissa
    }
}

impl Float {
    fn from_int(value: i128) -> Self {
        Self {
            negative: value < 0,
            mantissa: BigUint::from(value.unsigned_abs()),
            exponent: 0,
            precision: PRECISION,
        }
    }

    /// Rounded to its precision, half to even; `sticky` says that something below the mantissa was cut off.
    fn rounded(mut self, sticky: bool) -> Option<Self> {
        let bits = self.mantissa.bits();
        if bits > self.precision {
            let cut = bits - self.precision;
            let half = self.mantissa.bit(cut - 1);
            let below = sticky
                || self
                    .mantissa
                    .trailing_zeros()
                    .is_some_and(|at| at < cut - 1);
            self.mantissa >>= cut;
            self.exponent += i64::try_from(cut).ok()?;
            if half && (below || self.mantissa.bit(0)) {
                self.mantissa += 1_u32;
            }
        }
        let zeros = self.mantissa.trailing_zeros().unwrap_or(0);
        self.mantissa >>= zeros;
        self.exponent += i64::try_from(zeros).ok()?;
        if self.mantissa.bits() == 0 {
            self.exponent = 0;
            self.negative = false;
        }
        let top = self.exponent + i64::try_from(self.mantissa.bits()).ok()?;
        (top.abs() <= MAX_EXPONENT && self.exponent.abs() <= 2 * MAX_EXPONENT).then_some(self)
    }

    /// The mantissa at a smaller exponent.
    fn at(&self, exponent: i64) -> BigUint {
        &self.mantissa << u64::try_from(self.exponent - exponent).unwrap_or(0)
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            _ => {}
        }
        let exponent = self.exponent.min(other.exponent);
        let order = self.at(exponent).cmp(&other.at(exponent));
        if self.negative {
            order.reverse()
        } else {
            order
        }
    }

    fn add(&self, other: &Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.at(exponent), other.at(exponent));
        let (negative, mantissa) = if self.negative == other.negative {
            (self.negative, a + b)
        } else if a >= b {
            (self.negative, a - b)
        } else {
            (other.negative, b - a)
        };
        Self {
            negative,
            mantissa,
            exponent,
            precision: self.precision.max(other.precision),
        }
        .rounded(false)
    }

    fn multiply(&self, other: &Self) -> Option<Self> {
        Self {
            negative: self.negative != other.negative,
            mantissa: &self.mantissa * &other.mantissa,
            exponent: self.exponent + other.exponent,
            precision: self.precision.max(other.precision),
        }
        .rounded(false)
    }

    /// The quotient by what isn't nought.
    fn divide(&self, other: &Self) -> Option<Self> {
        let precision = self.precision.max(other.precision);
        let shift = (other.mantissa.bits() + precision + 2).saturating_sub(self.mantissa.bits());
        let above = &self.mantissa << shift;
        let quotient = &above / &other.mantissa;
        let exact = &quotient * &other.mantissa == above;
        // One bit more holds whether anything was cut off.
        let mantissa = (quotient << 1_u32) + u32::from(!exact);
        Self {
            negative: self.negative != other.negative,
            mantissa,
            exponent: self.exponent - other.exponent - i64::try_from(shift).ok()? - 1,
            precision,
        }
        .rounded(false)
    }

    /// The remainder of a division by what isn't nought, with the sign of what is divided.
    fn remainder(&self, other: &Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        Self {
            negative: self.negative,
            mantissa: self.at(exponent) % other.at(exponent),
            exponent,
            precision: self.precision.max(other.precision),
        }
        .rounded(false)
    }

    /// Towards nought, and whether anything was cut off.
    fn truncated(&self) -> (Self, bool) {
        if self.exponent >= 0 {
            return (self.clone(), false);
        }
        let whole = Self {
            mantissa: &self.mantissa >> self.exponent.unsigned_abs(),
            exponent: 0,
            ..self.clone()
        };
        let whole = whole.rounded(false).unwrap_or_else(|| Self::from_int(0));
        (whole, true)
    }

    fn as_f64(&self) -> f64 {
        let bits = self.mantissa.bits();
        let cut = bits.saturating_sub(64);
        let mut top = u64::try_from(&self.mantissa >> cut).unwrap_or(u64::MAX);
        if cut > 0 {
            // The mantissa is odd: something was cut off.
            top |= 1;
        }
        let exponent = self.exponent + i64::try_from(cut).unwrap_or(0);
        let exponent = i32::try_from(exponent).unwrap_or(i32::MAX);
        let size = tiny(top, exponent);
        #[allow(clippy::cast_precision_loss)]
        let value = top as f64;
        // In two steps: a tiny number's power of two alone may be below the smallest float.
        let value = size.unwrap_or_else(|| {
            value * 2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2)
        });
        if self.negative { -value } else { value }
    }

    fn as_int(&self) -> Option<i128> {
        let shift = u64::try_from(self.exponent).ok()?;
        if self.mantissa.bits() + shift > 128 {
            return None;
        }
        let size = u128::try_from(&self.mantissa << shift).ok()?;
        if self.negative {
            0_i128.checked_sub_unsigned(size)
        } else {
            i128::try_from(size).ok()
        }
    }

    /// Reads `digits · 10^power`.
    fn from_decimal(negative: bool, digits: BigUint, power: i64, precision: u64) -> Option<Self> {
        // 10^4096 is far beyond the limit already.
        if power.abs() > 8_192 {
            return (digits.bits() == 0).then(|| Self::from_int(0));
        }
        let ten = BigUint::from(10_u32).pow(u32::try_from(power.unsigned_abs()).ok()?);
        let whole = |mantissa: BigUint| Self {
            negative,
            mantissa,
            exponent: 0,
            precision,
        };
        if power >= 0 {
            whole(digits * ten).rounded(false)
        } else {
            let mut quotient = whole(digits).divide(&whole(ten))?;
            quotient.negative = negative && quotient.mantissa.bits() > 0;
            Some(quotient)
        }
    }

    /// The first `count` decimal digits, rounded, and the power of ten of the last one.
    fn decimal(&self, count: i64, magnitude: i64) -> (BigUint, i64) {
        let power = magnitude - count + 1;
        let ten = |power: i64| {
            BigUint::from(10_u32).pow(u32::try_from(power.unsigned_abs()).unwrap_or(0))
        };
        let (mut above, mut below) = (self.mantissa.clone(), BigUint::from(1_u32));
        if self.exponent >= 0 {
            above <<= self.exponent.unsigned_abs();
        } else {
            below <<= self.exponent.unsigned_abs();
        }
        if power >= 0 {
            below *= ten(power);
        } else {
            above *= ten(power);
        }
        let digits = &above / &below;
        let rest = (above - &digits * &below) << 1_u32;
        let up = match rest.cmp(&below) {
            Ordering::Less => false,
            Ordering::Equal => digits.bit(0),
            Ordering::Greater => true,
        };
        (digits + u32::from(up), power)
    }

    /// The power of ten of the first digit, perhaps one too small.
    fn magnitude(&self) -> i64 {
        let bits = i64::try_from(self.mantissa.bits()).unwrap_or(0);
        let two = self.exponent + bits - 1;
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let ten = (two as f64 * std::f64::consts::LOG10_2).floor() as i64;
        ten
    }

    /// The shortest digits that read back as this number, without trailing noughts, and the power of ten of the last.
    fn shortest(&self) -> (String, i64) {
        if self.mantissa.bits() == 0 {
            return ("0".to_owned(), 0);
        }
        let magnitude = self.magnitude();
        let reads_back = |count: i64| {
            let (digits, power) = self.decimal(count, magnitude);
            Self::from_decimal(self.negative, digits, power, self.precision).as_ref() == Some(self)
        };
        #[allow(clippy::cast_possible_wrap)]
        let (mut few, mut many) = (1, (self.precision / 3 + 4) as i64);
        while few < many {
            let middle = i64::midpoint(few, many);
            if reads_back(middle) {
                many = middle;
            } else {
                few = middle + 1;
            }
        }
        let (digits, power) = self.decimal(few, magnitude);
        let digits = digits.to_string();
        let short = digits.trim_end_matches('0');
        let cut = i64::try_from(digits.len() - short.len()).unwrap_or(0);
        (short.to_owned(), power + cut)
    }
}

/// Digits and the power of ten of the last one without an exponent, as `0.0012`.
fn plain(digits: &str, power: i64) -> String {
    let noughts = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let length = i64::try_from(digits.len()).unwrap_or(0);
    if power >= 0 {
        format!("{digits}{}", noughts(power))
    } else if length + power > 0 {
        let (whole, part) = digits.split_at(usize::try_from(length + power).unwrap_or(0));
        format!("{whole}.{part}")
    } else {
        format!("0.{}{digits}", noughts(-power - length))
    }
}

/// Digits and the power of ten of the last one as `1.2e-03`.
fn scientific(digits: &str, power: i64) -> String {
    let exponent = power + i64::try_from(digits.len()).unwrap_or(1) - 1;
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.abs())
}

impl Number {
    fn float(&self) -> Float {
        match self {
            Self::Int(value) => Float::from_int(*value),
            Self::Float(value) => (**value).clone(),
        }
    }

    /// Whole again where it is.
    fn from_float(value: Float) -> Self {
        match value.as_int() {
            Some(whole) => Self::Int(whole),
            None => Self::Float(Box::new(value)),
        }
    }

    /// From a hardware float; `None` for what is no number.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = match i64::try_from((bits >> 52) & 0x7ff).unwrap_or(0) {
            0 => (fraction, -1_074),
            exponent => (fraction | 1 << 52, exponent - 1_075),
        };
        let exact = Float {
            negative: value < 0.0,
            mantissa: BigUint::from(mantissa),
            exponent,
            precision: HARDWARE_PRECISION,
        };
        let exact = exact.rounded(false)?;
        // Beyond 2^63 the digits that aren't significant print as noughts.
        Some(
            match exact.as_int().filter(|whole| i64::try_from(*whole).is_ok()) {
                Some(whole) => Self::Int(whole),
                None => Self::Float(Box::new(exact)),
            },
        )
    }

    /// As a hardware float, rounded.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Int(value) => *value as f64,
            Self::Float(value) => value.as_f64(),
        }
    }

    /// As a whole number of 64 bits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => i64::try_from(*value).ok(),
            Self::Float(_) => None,
        }
    }

    /// Whether it has no fraction.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Float(value) => value.exponent >= 0,
        }
    }

    /// Reads `12`, `-1.5`, `1e3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(value) = text.parse() {
            return Some(Self::Int(value));
        }
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{part}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let power = exponent.checked_sub(i64::try_from(part.len()).ok()?)?;
        let digits = BigUint::parse_bytes(digits.as_bytes(), 10)?;
        Float::from_decimal(negative, digits, power, PRECISION).map(Self::from_float)
    }

    /// Reads whole digits of a base from 2 to 62; the 26 small letters stand before the capitals, up to base 36 both
    /// are the same.
    #[must_use]
    pub fn parse_base(text: &str, base: u32) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut value = BigUint::default();
        for c in digits.chars() {
            let digit = match c {
                '0'..='9' => u32::from(c) - u32::from('0'),
                'a'..='z' => u32::from(c) - u32::from('a') + 10,
                'A'..='Z' if base <= 36 => u32::from(c) - u32::from('A') + 10,
                'A'..='Z' => u32::from(c) - u32::from('A') + 36,
                _ => return None,
            };
            if digit >= base {
                return None;
            }
            value = value * base + digit;
        }
        if digits.is_empty() {
            return None;
        }
        let whole = Float {
            negative,
            mantissa: value,
            exponent: 0,
            precision: PRECISION,
        };
        whole.rounded(false).map(Self::from_float)
    }

    /// Which is larger.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            _ => self.float().compare(&other.float()),
        }
    }

    /// With the other sign.
    #[must_use]
    pub fn negated(&self) -> Self {
        match self {
            Self::Int(value) if *value != i128::MIN => Self::Int(-value),
            _ => {
                let mut value = self.float();
                value.negative = !value.negative && value.mantissa.bits() > 0;
                let normal = value.clone().rounded(false);
                Self::from_float(normal.unwrap_or(value))
            }
        }
    }

    /// Without its sign.
    #[must_use]
    pub fn absolute(&self) -> Self {
        if self.compare(&Self::Int(0)).is_lt() {
            self.negated()
        } else {
            self.clone()
        }
    }

    /// The sum; `None` when it is too large.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(sum) = a.checked_add(*b)
        {
            return Some(Self::Int(sum));
        }
        self.float().add(&other.float()).map(Self::from_float)
    }

    /// The difference; `None` when it is too large.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.negated())
    }

    /// The product; `None` when it is too large.
    #[must_use]
    pub fn times(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(product) = a.checked_mul(*b)
        {
            return Some(Self::Int(product));
        }
        self.float().multiply(&other.float()).map(Self::from_float)
    }

    /// The quotient; `None` when it is too large or the divisor is nought.
    #[must_use]
    pub fn divided_by(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && a.checked_rem(*b) == Some(0)
        {
            return a.checked_div(*b).map(Self::Int);
        }
        let divisor = other.float();
        if divisor.mantissa.bits() == 0 {
            return None;
        }
        self.float().divide(&divisor).map(Self::from_float)
    }

    /// What a division leaves, with the sign of the dividend; `None` when the divisor is nought.
    #[must_use]
    pub fn modulo(&self, other: &Self) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(rest) = a.checked_rem(*b)
        {
            return Some(Self::Int(rest));
        }
        let divisor = other.float();
        if divisor.mantissa.bits() == 0 {
            return None;
        }
        self.float().remainder(&divisor).map(Self::from_float)
    }

    /// The largest whole number that isn't above.
    #[must_use]
    pub fn floor(&self) -> Self {
        let Self::Float(value) = self else {
            return self.clone();
        };
        let (whole, cut) = value.truncated();
        let whole = Self::from_float(whole);
        if cut && value.negative {
            whole.minus(&Self::Int(1)).unwrap_or(whole)
        } else {
            whole
        }
    }

    /// The smallest whole number that isn't below.
    #[must_use]
    pub fn ceil(&self) -> Self {
        self.negated().floor().negated()
    }

    /// With so many digits behind the point, as `3.14`.
    #[must_use]
    pub fn fixed(&self, places: usize) -> String {
        let value = self.float();
        let places_wide = i64::try_from(places).unwrap_or(0);
        let (digits, _) = value.decimal(1, -places_wide);
        let digits = format!("{:0>width$}", digits.to_string(), width = places + 1);
        let sign = if value.negative { "-" } else { "" };
        let text = plain(&digits, -places_wide);
        format!("{sign}{text}")
    }

    /// With one digit before the point, `places` behind it and an exponent, as `3.14e+00`; as few as needed without
    /// `places`.
    #[must_use]
    pub fn scientific(&self, places: Option<usize>) -> String {
        let value = self.float();
        let sign = if value.negative { "-" } else { "" };
        let (mut digits, mut power) = value.rounded_digits(places.map(|places| places + 1));
        for _ in digits.len()..places.map_or(0, |places| places + 1) {
            digits.push('0');
            power -= 1;
        }
        format!("{sign}{}", scientific(&digits, power))
    }

    /// Plain, or with an exponent where that is much shorter (`%g`).
    #[must_use]
    pub fn general(&self, digits: Option<usize>) -> String {
        let value = self.float();
        let sign = if value.negative { "-" } else { "" };
        let (text, power) = value.rounded_digits(digits.map(|digits| digits.max(1)));
        let length = i64::try_from(text.len()).unwrap_or(1);
        let exponent = power + length - 1;
        // As many digits as are asked for; with the fewest that do, six.
        let most = digits.map_or(6, |digits| i64::try_from(digits.max(1)).unwrap_or(6));
        let most = if digits.is_some() && most > length && length > exponent {
            length
        } else {
            most
        };
        if exponent < -4 || exponent >= most {
            format!("{sign}{}", scientific(&text, power))
        } else {
            format!("{sign}{}", plain(&text, power))
        }
    }
}

impl Float {
    /// So many digits, or as few as read back, without trailing noughts.
    fn rounded_digits(&self, count: Option<usize>) -> (String, i64) {
        let Some(count) = count else {
            return self.shortest();
        };
        if self.mantissa.bits() == 0 {
            return ("0".to_owned(), 0);
        }
        let count = i64::try_from(count).unwrap_or(1);
        let mut magnitude = self.magnitude();
        let (first, _) = self.decimal(count, magnitude);
        if i64::try_from(first.to_string().len()).unwrap_or(0) > count {
            magnitude += 1;
        }
        let (digits, power) = self.decimal(count, magnitude);
        let digits = digits.to_string();
        let short = digits.trim_end_matches('0');
        let cut = i64::try_from(digits.len() - short.len()).unwrap_or(0);
        (short.to_owned(), power + cut)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => {
                let (digits, power) = value.shortest();
                let sign = if value.negative { "-" } else { "" };
                write!(f, "{sign}{}", plain(&digits, power))
            }
        }
    }
}

/// `top · 2^exponent` where a float has fewer than 53 bits for it, rounded once; `None` where it has all.
fn tiny(top: u64, exponent: i32) -> Option<f64> {
    const LOWEST: i32 = -1_074;
    let bits = i64::from(u64::BITS - top.leading_zeros());
    let dropped = i64::from(LOWEST) - i64::from(exponent);
    if dropped <= 0 || dropped <= bits - 53 {
        return None;
    }
    if dropped > 65 {
        return Some(0.0);
    }
    let top = u128::from(top);
    let (kept, rest, half) = (
        top >> dropped,
        top & ((1 << dropped) - 1),
        1 << (dropped - 1),
    );
    let up = rest > half || (rest == half && kept & 1 == 1);
    let kept = u64::try_from(kept + u128::from(up)).ok()?;
    // The bits of such a float are the count of its smallest steps.
    Some(f64::from_bits(kept))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn numbers_print_the_shortest_text_that_reads_back() {
        for (text, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("12.50", "12.5"),
            ("1e3", "1000"),
            ("1e-7", "0.0000001"),
            ("0.1", "0.1"),
            ("-1.5", "-1.5"),
            ("+7", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("99999999999999999999.9", "99999999999999999999.9"),
            (
                "340282366920938463463374607431768211457",
                "340282366920938463463374607431768211457",
            ),
        ] {
            let read = number(text);
            assert_eq!(read.to_string(), printed, "{text}");
            assert_eq!(number(&read.to_string()), read, "{text}");
        }
        for text in [
            "", "-", ".", "e5", "1e", "0x1", "1_0", " 1", "1e99999", "inf", "NaN", "1.2.3",
        ] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn hardware_floats_go_in_and_out_unchanged() {
        for value in [
            0.0,
            0.1,
            -2.5,
            1.0 / 3.0,
            1e300,
            -1e-300,
            5e-324,
            f64::MAX,
            f64::MIN_POSITIVE,
            9_007_199_254_740_993.0,
        ] {
            let number = Number::from_f64(value).unwrap();
            assert_eq!(number.as_f64().to_bits(), value.to_bits(), "{value}");
        }
        // Where a float has fewer bits, what is read is rounded once.
        for text in [
            "-1.8573167758222327e-308",
            "1.857316775822233e-308",
            "2.2250738585072011e-308",
            "2.4703282292062328e-324",
            "2.4703282292062327e-324",
            "7.4109846876186982e-324",
            "1e-400",
        ] {
            let value: f64 = text.parse().unwrap();
            assert_eq!(number(text).as_f64().to_bits(), value.to_bits(), "{text}");
        }
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), None);
        assert_eq!(Number::from_f64(0.1).unwrap().to_string(), "0.1");
    }

    #[test]
    fn arithmetic_is_exact_where_it_can_be() {
        let sum = number("0.1").plus(&number("0.2")).unwrap();
        assert_eq!(sum, number("0.3"));
        let third = number("1").divided_by(&number("3")).unwrap();
        assert!(third.to_string().starts_with("0.33333333333333333333"));
        assert_eq!(third.times(&number("3")).unwrap().to_string(), "1");
        assert_eq!(number("7.5").modulo(&number("2")), Some(number("1.5")));
        assert_eq!(number("-7").modulo(&number("3")), Some(number("-1")));
        assert_eq!(number("1").divided_by(&number("0")), None);
        assert_eq!(number("1").modulo(&number("0")), None);
        assert_eq!(
            Number::Int(i128::MIN).negated().negated(),
            Number::Int(i128::MIN)
        );
        assert_eq!(number("1e2400").times(&number("1e2400")), None);
        assert_eq!(number("-2.1").floor(), number("-3"));
        assert_eq!(number("-2.1").ceil(), number("-2"));
        assert_eq!(number("2.1").ceil(), number("3"));
    }
}
