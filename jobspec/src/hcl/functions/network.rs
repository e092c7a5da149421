//! Address arithmetic.

use std::net::IpAddr;

use super::{
    Arguments, Function, FunctionError, Outcome, bad, failed, function, number, text, variadic,
};
use crate::value::Value;

/// The most bits that a prefix is extended by at once.
const MAX_EXTENSION: i64 = 32;

pub(super) const FUNCTIONS: &[Function] = &[
    function("cidrhost", &[text("prefix"), number("hostnum")], |a| {
        let number = i128::from(a.whole(1)?);
        let range = Range::parse(a.text(0)?).map_err(failed)?;
        let free = range.width() - range.prefix;
        let count = if free >= 127 {
            i128::MAX
        } else {
            1_i128 << free
        };
        let at = if number < 0 {
            count.saturating_add(number)
        } else {
            number
        };
        if !(0..count).contains(&at) {
            return Err(failed(format!(
                "prefix of {} does not accommodate a host numbered {number}",
                range.prefix
            )));
        }
        let host = range.base | u128::try_from(at).unwrap_or(0);
        Ok(Value::String(range.address(host).to_string()))
    }),
    function("cidrnetmask", &[text("prefix")], |a| {
        let range = Range::parse(a.text(0)?).map_err(failed)?;
        Ok(Value::String(range.address(range.mask()).to_string()))
    }),
    function(
        "cidrsubnet",
        &[text("prefix"), number("newbits"), number("netnum")],
        |a| {
            let (bits, number) = (a.whole(1)?, a.whole(2)?);
            let range = Range::parse(a.text(0)?).map_err(failed)?;
            range
                .subnet(bits, number)
                .map(|range| Value::String(range.text()))
        },
    ),
    variadic("cidrsubnets", &[text("prefix")], number("newbits"), subnets),
];

/// An address range.
#[derive(Clone, Copy)]
struct Range {
    base: u128,
    prefix: u32,
    v6: bool,
}

impl Range {
    fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid CIDR expression: invalid CIDR address: {text}");
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let prefix: u32 = prefix.parse().map_err(|_| invalid())?;
        let (bits, v6) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), false),
            IpAddr::V6(address) => (u128::from(address), true),
        };
        let range = Self {
            base: bits,
            prefix,
            v6,
        };
        if prefix > range.width() {
            return Err(invalid());
        }
        Ok(Self {
            base: bits & range.mask(),
            ..range
        })
    }

    fn width(self) -> u32 {
        if self.v6 { 128 } else { 32 }
    }

    fn mask(self) -> u128 {
        let all = if self.v6 {
            u128::MAX
        } else {
            u128::from(u32::MAX)
        };
        let free = self.width() - self.prefix;
        all & u128::MAX.checked_shl(free).unwrap_or(0)
    }

    fn address(self, bits: u128) -> IpAddr {
        if self.v6 {
            IpAddr::V6(bits.into())
        } else {
            IpAddr::V4(u32::try_from(bits).unwrap_or(u32::MAX).into())
        }
    }

    fn subnet(self, bits: i64, number: i64) -> Result<Self, FunctionError> {
        let bits = u32::try_from(bits)
            .map_err(|_| failed("the prefix can't be extended by fewer than 0 bits"))?;
        if i64::from(bits) > MAX_EXTENSION {
            return Err(failed(format!(
                "may not extend prefix by more than {MAX_EXTENSION} bits"
            )));
        }
        let prefix = self.prefix.saturating_add(bits);
        if prefix > self.width() {
            return Err(failed(format!(
                "insufficient address space to extend prefix of {} by {bits}",
                self.prefix
            )));
        }
        let within = u128::try_from(number)
            .ok()
            .filter(|number| number >> bits == 0);
        let number = within.ok_or_else(|| {
            failed(format!(
                "prefix extension of {bits} does not accommodate a subnet numbered {number}"
            ))
        })?;
        let shifted = number.checked_shl(self.width() - prefix).unwrap_or(0);
        Ok(Self {
            base: self.base | shifted,
            prefix,
            v6: self.v6,
        })
    }

    fn text(self) -> String {
        format!("{}/{}", self.address(self.base), self.prefix)
    }
}

/// Ranges one after the other, each as much longer as its argument says.
fn subnets(a: &Arguments<'_>) -> Outcome {
    let range = Range::parse(a.text(0)?).map_err(|why| bad(0, why))?;
    let mut list = Vec::new();
    let mut next = range.base;
    let mut full = false;
    for index in 1..a.list.len() {
        let bits = a.whole(index)?;
        if bits < 1 {
            return Err(bad(index, "must extend prefix by at least one bit"));
        }
        if bits > MAX_EXTENSION {
            return Err(bad(
                index,
                format!("may not extend prefix by more than {MAX_EXTENSION} bits"),
            ));
        }
        let prefix = range.prefix + u32::try_from(bits).unwrap_or(0);
        if prefix > range.width() {
            let version = if range.v6 { 6 } else { 4 };
            return Err(bad(
                index,
                format!(
                    "would extend prefix to {prefix} bits, which is too long for an IPv{version} address"
                ),
            ));
        }
        let step = 1_u128 << (range.width() - prefix).min(127);
        // Up to the next multiple of its own size.
        let base = next.checked_next_multiple_of(step);
        let Some(base) = base.filter(|base| !full && base & range.mask() == range.base) else {
            let after = list.last().and_then(Value::to_text).unwrap_or_default();
            return Err(bad(
                index,
                format!(
                    "not enough remaining address space for a subnet with a prefix of {prefix} bits after {after}"
                ),
            ));
        };
        let part = Range {
            base,
            prefix,
            v6: range.v6,
        };
        list.push(Value::String(part.text()));
        match base.checked_add(step) {
            Some(after) => next = after,
            None => full = true,
        }
    }
    Ok(Value::List(list))
}
