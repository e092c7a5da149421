//! Address arithmetic.

use std::net::IpAddr;

use super::{Arguments, Function, FunctionError, Outcome, bad, failed, function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("cidrhost", 2, 2, |a| {
        let range = Range::parse(&a.text(0)?)?;
        let number = i128::from(a.whole(1)?);
        let free = range.width() - range.prefix;
        let count = if free >= 127 {
            i128::MAX
        } else {
            1_i128 << free
        };
        let number = if number < 0 {
            count.saturating_add(number)
        } else {
            number
        };
        if !(0..count).contains(&number) {
            return Err(failed(format!(
                "prefix of {} does not accommodate a host numbered {}",
                range.prefix,
                a.whole(1)?
            )));
        }
        let host = range.base | u128::try_from(number).unwrap_or(0);
        Ok(Value::String(range.address(host).to_string()))
    }),
    function("cidrnetmask", 1, 1, |a| {
        let range = Range::parse(&a.text(0)?)?;
        if range.v6 {
            return Err(bad(0, "IPv6 addresses cannot have a netmask"));
        }
        Ok(Value::String(range.address(range.mask()).to_string()))
    }),
    function("cidrsubnet", 3, 3, |a| {
        let range = Range::parse(&a.text(0)?)?;
        let bits = u32::try_from(a.whole(1)?).map_err(|_| bad(1, "must not be negative"))?;
        let number = u128::try_from(a.whole(2)?).map_err(|_| bad(2, "must not be negative"))?;
        range
            .subnet(bits, number)
            .map(|range| Value::String(range.text()))
    }),
    function("cidrsubnets", 1, usize::MAX, subnets),
];

/// An address range.
#[derive(Clone, Copy)]
struct Range {
    base: u128,
    prefix: u32,
    v6: bool,
}

impl Range {
    fn parse(text: &str) -> Result<Self, FunctionError> {
        let invalid = || {
            bad(
                0,
                format!("invalid CIDR expression: invalid CIDR address: {text}"),
            )
        };
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
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

    fn subnet(self, bits: u32, number: u128) -> Result<Self, FunctionError> {
        let prefix = self.prefix.saturating_add(bits);
        if prefix > self.width() {
            return Err(failed(format!(
                "insufficient address space to extend prefix of {} by {bits}",
                self.prefix
            )));
        }
        if bits < 128 && number >> bits != 0 {
            return Err(failed(format!(
                "prefix extension of {bits} does not accommodate a subnet numbered {number}"
            )));
        }
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
    let range = Range::parse(&a.text(0)?)?;
    let mut list = Vec::new();
    let mut next = range.base;
    let mut full = false;
    for index in 1..a.list.len() {
        let bits = u32::try_from(a.whole(index)?)
            .ok()
            .filter(|bits| *bits > 0)
            .ok_or_else(|| bad(index, "must extend prefix by at least one bit"))?;
        let prefix = range.prefix.saturating_add(bits);
        if prefix > range.width() {
            return Err(bad(index, "would extend prefix too far"));
        }
        let step = 1_u128 << (range.width() - prefix).min(127);
        // Up to the next multiple of its own size.
        let base = next.checked_next_multiple_of(step);
        let Some(base) = base.filter(|base| !full && base & range.mask() == range.base) else {
            return Err(bad(index, "not enough remaining address space"));
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
