//! Quantities as people write them: durations, sizes, cpus, ports.
//!
//! Each type is read with [`FromStr`] (so that flags, environment and files accept the same) and written with
//! [`Display`](fmt::Display), exactly: what is written is read back equal. Where a person only needs a rough
//! idea, `about` rounds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use neap_protocol::resources::Resources;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A span of time in whole milliseconds, at most [`Period::MAX`]: `90s`, `10m`, `1h30m`, `500ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    ms: u64,
}

impl Period {
    /// The longest period: 366 days.
    pub const MAX: Self = Self::from_secs(366 * 24 * 60 * 60);

    /// No time at all.
    pub const ZERO: Self = Self { ms: 0 };

    /// So many seconds. Meant for constants: what is longer than [`Period::MAX`] is not checked.
    pub const fn from_secs(secs: u64) -> Self {
        Self { ms: secs * 1000 }
    }

    /// `duration`, rounded up to whole milliseconds and cut to [`Period::MAX`].
    pub fn saturating_from(duration: Duration) -> Self {
        let ms = duration.as_nanos().div_ceil(1_000_000);
        Self { ms: u64::try_from(ms).unwrap_or(u64::MAX).min(Self::MAX.ms) }
    }

    /// In milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.ms
    }

    /// As the standard library counts time.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.ms == 0
    }

    /// The two largest units, the rest cut off: `1h29m`, `4m12s`, `850ms`. For eyes only.
    pub fn about(self) -> String {
        let parts = self.parts();
        let Some(first) = parts.iter().position(|(count, _)| *count > 0) else {
            return "0s".into();
        };
        // Milliseconds beside seconds are noise from ten seconds on.
        let shown = if parts[first].1 == "s" && parts[first].0 >= 10 { 1 } else { 2 };
        let parts = parts[first..].iter().take(shown).filter(|(count, _)| *count > 0);
        parts.map(|(count, unit)| format!("{count}{unit}")).collect()
    }

    fn parts(self) -> [(u64, &'static str); 5] {
        let mut rest = self.ms;
        PERIOD_UNITS.map(|(unit, ms)| {
            let count = rest / ms;
            rest %= ms;
            (count, unit)
        })
    }
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = |cause| Err(UnitError::new(text, cause, PERIOD_ACCEPTED));
        if text.starts_with('-') {
            return fail(Cause::Negative);
        }
        let (mut rest, mut total, mut below) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let Some((number, after)) = Number::read(rest) else {
                return fail(Cause::NoNumber);
            };
            let unit = &after[..after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len())];
            if unit.is_empty() {
                return fail(Cause::NoUnit);
            }
            let Some(&(_, ms)) = PERIOD_UNITS.iter().find(|(name, _)| *name == unit) else {
                return fail(Cause::UnknownUnit(unit.into()));
            };
            if ms >= below {
                return fail(Cause::Order);
            }
            below = ms;
            total = match number.times(ms) {
                Ok(part) => total.saturating_add(part),
                Err(cause) => return fail(cause),
            };
            rest = &after[unit.len()..];
        }
        match total {
            _ if text.is_empty() => fail(Cause::Empty),
            total if total > Self::MAX.ms => fail(Cause::TooLarge),
            ms => Ok(Self { ms }),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.pad("0s");
        }
        let parts = self.parts();
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        f.pad(&parts.map(|(count, unit)| format!("{count}{unit}")).collect::<String>())
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.as_duration()
    }
}

/// An amount of memory or disk in bytes, at most [`ByteSize::MAX`]: `64M`, `1G`, `512Ki`. Units are binary,
/// whichever way they are spelt: `1K` = `1Ki` = `1KiB` = 1024 bytes.
///
/// A config file writes it as a string. Rows for programs carry [`bytes`](Self::bytes) as a number instead, in a
/// field whose name ends in `_bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize {
    bytes: u64,
}

impl ByteSize {
    /// The largest size: 1 EiB, which is the most that a slave may say it has.
    pub const MAX: Self = Self { bytes: Resources::MACHINE_MAX.mem };

    /// So many bytes, cut to [`ByteSize::MAX`].
    pub const fn saturating_from(bytes: u64) -> Self {
        if bytes > Self::MAX.bytes { Self::MAX } else { Self { bytes } }
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// With one decimal of the largest unit that fits: `1.4G`, `64.0M`, `512B`. For eyes only.
    pub fn about(self) -> String {
        match SIZE_UNITS.iter().find(|(_, size)| self.bytes >= *size) {
            Some((unit, size)) => {
                let tenths = u128::from(self.bytes) * 10 / u128::from(*size);
                format!("{}.{}{unit}", tenths / 10, tenths % 10)
            }
            None => format!("{}B", self.bytes),
        }
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = |cause| UnitError::new(text, cause, SIZE_ACCEPTED);
        if text.is_empty() {
            return Err(fail(Cause::Empty));
        }
        let (number, unit) = Number::read(text).ok_or_else(|| fail(Cause::NoNumber))?;
        let size = size_of_unit(unit).ok_or_else(|| fail(Cause::UnknownUnit(unit.into())))?;
        match number.times(size).map_err(fail)? {
            bytes if bytes > Self::MAX.bytes => Err(fail(Cause::TooLarge)),
            bytes => Ok(Self { bytes }),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |size: u64| self.bytes > 0 && self.bytes.is_multiple_of(size);
        match SIZE_UNITS.iter().find(|(_, size)| whole(*size)) {
            Some((unit, size)) => f.pad(&format!("{}{unit}", self.bytes / size)),
            None => f.pad(&format!("{}B", self.bytes)),
        }
    }
}

/// An amount of processor time in thousandths of a cpu, at most [`Cpus::MAX`]: `2`, `0.5`, `250m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus {
    thousandths: u64,
}

impl Cpus {
    /// The largest amount: a million cpus, which is the most that a slave may say it has.
    pub const MAX: Self = Self { thousandths: Resources::MACHINE_MAX.cpus };

    /// So many thousandths, cut to [`Cpus::MAX`].
    pub const fn saturating_from(thousandths: u64) -> Self {
        if thousandths > Self::MAX.thousandths { Self::MAX } else { Self { thousandths } }
    }

    /// In thousandths of a cpu.
    pub const fn thousandths(self) -> u64 {
        self.thousandths
    }
}

impl FromStr for Cpus {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = |cause| UnitError::new(text, cause, CPUS_ACCEPTED);
        if text.is_empty() {
            return Err(fail(Cause::Empty));
        }
        let (number, unit) = Number::read(text).ok_or_else(|| fail(Cause::NoNumber))?;
        let scale = match unit {
            "" => 1000,
            "m" => 1,
            _ => return Err(fail(Cause::UnknownUnit(unit.into()))),
        };
        match number.times(scale).map_err(fail)? {
            thousandths if thousandths > Self::MAX.thousandths => Err(fail(Cause::TooLarge)),
            thousandths => Ok(Self { thousandths }),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        match rest {
            0 => f.pad(&whole.to_string()),
            rest => f.pad(format!("{whole}.{rest:03}").trim_end_matches('0')),
        }
    }
}

/// Ports that a slave lends, as closed ranges in order that neither overlap nor touch: `31000-32000,8080`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    ranges: Vec<(u16, u16)>,
}

impl Ports {
    /// The most ranges that are read: what a person still writes by hand.
    pub const RANGES_MAX: usize = 64;

    /// The ports `first..=last`, which must not be empty.
    pub fn range(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then(|| Self { ranges: vec![(first, last)] })
    }

    /// The ranges, both ends included.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

impl FromStr for Ports {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = |cause| UnitError::new(text, cause, PORTS_ACCEPTED);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
            let (Some(first), Some(last)) = (port(first), port(last)) else {
                return Err(fail(Cause::NoPort(part.into())));
            };
            if first > last {
                return Err(fail(Cause::Backwards(part.into())));
            }
            ranges.push((first, last));
        }
        if ranges.len() > Self::RANGES_MAX {
            return Err(fail(Cause::TooMany));
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[1].0 <= pair[0].1) {
            return Err(fail(Cause::Overlap));
        }
        Ok(Self { ranges: joined(ranges) })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.ranges.iter().map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
        f.pad(&parts.collect::<Vec<_>>().join(","))
    }
}

/// Why a text is no quantity: the cause, and what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {cause}; accepted: {accepted}")]
pub struct UnitError {
    text: String,
    cause: Cause,
    accepted: &'static str,
}

impl UnitError {
    fn new(text: &str, cause: Cause, accepted: &'static str) -> Self {
        Self { text: text.chars().take(64).collect(), cause, accepted }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Cause {
    #[error("is empty")]
    Empty,
    #[error("is negative")]
    Negative,
    #[error("has no number where one belongs")]
    NoNumber,
    #[error("has a number without a unit")]
    NoUnit,
    #[error("has an unknown unit {0:?}")]
    UnknownUnit(String),
    #[error("does not go from the largest unit to the smallest, each once")]
    Order,
    #[error("is finer than what is counted")]
    TooFine,
    #[error("is too large")]
    TooLarge,
    #[error("has too many ranges")]
    TooMany,
    #[error("has {0:?}, which is no port")]
    NoPort(String),
    #[error("has {0:?}, which ends before it begins")]
    Backwards(String),
    #[error("has ranges that overlap")]
    Overlap,
}

const PERIOD_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const PERIOD_ACCEPTED: &str = "durations such as 500ms, 90s, 10m, 1h30m or 2d, up to 366d";

const SIZE_UNITS: [(&str, u64); 5] =
    [("P", 1 << 50), ("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
const SIZE_ACCEPTED: &str =
    "sizes such as 512K, 64M or 1.5G, up to 1024P, in binary units (1K = 1Ki = 1KiB = 1024 bytes)";

const CPUS_ACCEPTED: &str = "cpus such as 2, 0.5 or 250m (thousandths), up to 1000000";

const PORTS_ACCEPTED: &str = "ports from 1 to 65535 and at most 64 ranges of them, such as 8080,31000-32000";

/// The bytes of one `unit`, in either case, with or without `i` and `B`.
fn size_of_unit(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_uppercase();
    let prefix = unit.strip_suffix('B').unwrap_or(&unit);
    if prefix.is_empty() {
        return Some(1);
    }
    let prefix = prefix.strip_suffix('I').unwrap_or(prefix);
    SIZE_UNITS.iter().find(|(name, _)| *name == prefix).map(|(_, size)| *size)
}

/// Ranges that touch, made one.
fn joined(sorted: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let mut ranges: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
    for (first, last) in sorted {
        match ranges.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(first) => before.1 = last,
            _ => ranges.push((first, last)),
        }
    }
    ranges
}

/// A decimal number, exact: `digits` of which the last `decimals` stand behind the point.
struct Number {
    digits: u64,
    decimals: u32,
}

impl Number {
    /// Reads a number at the start of `text`, and gives back what follows. `None`: there is none, or it has more
    /// digits than any quantity here.
    fn read(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, rest) = text.split_at(end);
        let (whole, fraction) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (number, ""),
        };
        if whole.is_empty() || fraction.contains('.') {
            return None;
        }
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some((Self { digits, decimals: u32::try_from(fraction.len()).ok()? }, rest))
    }

    /// The number times `scale`, where that is whole.
    fn times(&self, scale: u64) -> Result<u64, Cause> {
        let divisor = 10_u128.checked_pow(self.decimals).ok_or(Cause::TooFine)?;
        let product = u128::from(self.digits) * u128::from(scale);
        if !product.is_multiple_of(divisor) {
            return Err(Cause::TooFine);
        }
        u64::try_from(product / divisor).map_err(|_| Cause::TooLarge)
    }
}

macro_rules! written_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(stringify!($type)))?.parse().map_err(de::Error::custom)
            }
        }
    };
}

written_as_text!(Period);
written_as_text!(ByteSize);
written_as_text!(Ports);

/// As a number of cpus (`0.5`): thousandths up to [`Cpus::MAX`] go through a float and back unharmed.
impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "Cpus::MAX is far below 2^53")]
        let cpus = self.thousandths as f64 / 1000.0;
        match self.thousandths % 1000 {
            0 => serializer.serialize_u64(self.thousandths / 1000),
            _ => serializer.serialize_f64(cpus),
        }
    }
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CpusVisitor)
    }
}

/// A string in a file. Its parameter is what was expected, for the error.
struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = match self.0 {
            "Period" => PERIOD_ACCEPTED,
            "ByteSize" => SIZE_ACCEPTED,
            _ => PORTS_ACCEPTED,
        };
        write!(f, "a string in quotes; accepted: {accepted}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

struct CpusVisitor;

impl Visitor<'_> for CpusVisitor {
    type Value = Cpus;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number or a string in quotes; accepted: {CPUS_ACCEPTED}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cpus, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, cpus: f64) -> Result<Cpus, E> {
        self.visit_str(&cpus.to_string())
    }

    fn visit_u64<E: de::Error>(self, cpus: u64) -> Result<Cpus, E> {
        self.visit_str(&cpus.to_string())
    }

    fn visit_i64<E: de::Error>(self, cpus: i64) -> Result<Cpus, E> {
        self.visit_str(&cpus.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period(text: &str) -> Result<u64, String> {
        text.parse::<Period>().map(Period::as_millis).map_err(|e| e.to_string())
    }

    fn size(text: &str) -> Result<u64, String> {
        text.parse::<ByteSize>().map(ByteSize::bytes).map_err(|e| e.to_string())
    }

    fn cpus(text: &str) -> Result<u64, String> {
        text.parse::<Cpus>().map(Cpus::thousandths).map_err(|e| e.to_string())
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(period("90s"), Ok(90_000));
        assert_eq!(period("10m"), Ok(600_000));
        assert_eq!(period("1h30m"), Ok(5_400_000));
        assert_eq!(period("500ms"), Ok(500));
        assert_eq!(period("1.5s"), Ok(1500));
        assert_eq!(period("1d2h3m4s5ms"), Ok(93_784_005));
        assert_eq!(period("0s"), Ok(0));
        assert_eq!(period("366d"), Ok(Period::MAX.as_millis()));
    }

    #[test]
    fn a_bad_duration_says_why_and_what_is_accepted() {
        for (text, cause) in [
            ("", "is empty"),
            ("90", "has a number without a unit"),
            ("0", "has a number without a unit"),
            ("soon", "has no number"),
            ("-5s", "is negative"),
            ("5 s", "has a number without a unit"),
            ("5w", "has an unknown unit \"w\""),
            ("30m1h", "does not go from the largest unit to the smallest"),
            ("1m1m", "each once"),
            ("0.5ms", "is finer than what is counted"),
            ("367d", "is too large"),
            ("99999999999999999d", "is too large"),
            ("1.s", "has no number"),
            ("1..5s", "has no number"),
        ] {
            let error = period(text).unwrap_err();
            assert!(error.contains(cause), "{text:?}: {error}");
            assert!(error.ends_with("accepted: durations such as 500ms, 90s, 10m, 1h30m or 2d, up to 366d"));
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("64M"), Ok(64 << 20));
        assert_eq!(size("1G"), Ok(1 << 30));
        assert_eq!(size("512Ki"), Ok(512 << 10));
        assert_eq!(size("1.5GiB"), Ok(3 << 29));
        assert_eq!(size("10kb"), Ok(10 << 10));
        assert_eq!(size("1000"), Ok(1000));
        assert_eq!(size("7B"), Ok(7));
        assert_eq!(size("1024P"), Ok(1 << 60));
        for bad in ["", "M", "1X", "1iB", "1025P", "0.1B", "1G1M", "-1M", "1e3"] {
            assert!(size(bad).unwrap_err().contains("accepted: sizes such as 512K"), "{bad:?}");
        }
    }

    #[test]
    fn cpus_are_counted_in_thousandths() {
        assert_eq!(cpus("0.5"), Ok(500));
        assert_eq!(cpus("2"), Ok(2000));
        assert_eq!(cpus("250m"), Ok(250));
        assert_eq!(cpus("0.100"), Ok(100));
        for bad in ["", "half", "0.0005", "0.5m", "1000001", "2 cpus", ".5"] {
            assert!(cpus(bad).unwrap_err().contains("accepted: cpus such as 2, 0.5 or 250m"), "{bad:?}");
        }
    }

    #[test]
    fn ports_are_ordered_joined_and_checked() {
        let ports = |text: &str| text.parse::<Ports>().map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(ports("31000-32000,8080"), Ok("8080,31000-32000".into()));
        assert_eq!(ports("1-2,3,4-5"), Ok("1-5".into()));
        assert_eq!(ports(""), Ok("".into()));
        for bad in ["0", "70000", "2-1", "1-5,5", "1-5,2-3", "a-b", "1-", "1,,2"] {
            assert!(ports(bad).unwrap_err().contains("accepted: ports from 1"), "{bad:?}");
        }
    }

    #[test]
    fn about_is_short() {
        let about = |text: &str| text.parse::<Period>().unwrap().about();
        assert_eq!(about("1h29m59s"), "1h29m");
        assert_eq!(about("4m0s12ms"), "4m");
        assert_eq!(about("12s345ms"), "12s");
        assert_eq!(about("2s345ms"), "2s345ms");
        assert_eq!(about("0ms"), "0s");
        assert_eq!("1500M".parse::<ByteSize>().unwrap().about(), "1.4G");
        assert_eq!("512".parse::<ByteSize>().unwrap().about(), "512B");
    }

    proptest! {
        #[test]
        fn a_written_period_is_read_back(ms in 0..=Period::MAX.ms) {
            let period = Period { ms };
            prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
        }

        #[test]
        fn a_written_size_is_read_back(mantissa in 0_u64..1 << 20, shift in 0_u32..=40) {
            let size = ByteSize { bytes: mantissa << shift };
            prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }

        #[test]
        fn written_cpus_are_read_back(thousandths in 0..=Cpus::MAX.thousandths) {
            let cpus = Cpus { thousandths };
            prop_assert_eq!(cpus.to_string().parse::<Cpus>(), Ok(cpus));
            let json = serde_json::to_string(&cpus).unwrap();
            prop_assert_eq!(serde_json::from_str::<Cpus>(&json).unwrap(), cpus);
        }

        #[test]
        fn written_ports_are_read_back(ranges in prop::collection::vec((1_u16.., 0_u16..100), 0..8)) {
            let text = ranges.iter().map(|(a, n)| format!("{a}-{}", a.saturating_add(*n)));
            if let Ok(ports) = text.collect::<Vec<_>>().join(",").parse::<Ports>() {
                prop_assert_eq!(ports.to_string().parse::<Ports>(), Ok(ports));
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9.smhdKMGTi, -]{0,24}|\\PC{0,12}") {
            let _ = (text.parse::<Period>(), text.parse::<ByteSize>());
            let _ = (text.parse::<Cpus>(), text.parse::<Ports>());
        }
    }
}
