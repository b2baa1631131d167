//! What was measured, beside what is aimed at and what others do.

use std::fmt;
use std::time::Duration;

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    values: Vec<f64>,
    unit: Unit,
    budget: Option<f64>,
    reference: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// The less the better.
    Milliseconds,
    /// The more the better.
    EachSecond,
    /// It is to be what the budget says, or nothing is true.
    Count,
}

impl Row {
    /// Times, and the most that the median should be.
    pub(crate) fn times(what: impl Into<String>, times: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(what, Unit::Milliseconds, times.into_iter().map(|time| time.as_secs_f64() * 1e3))
    }

    /// Rates, each second.
    pub(crate) fn rates(what: impl Into<String>, rates: impl IntoIterator<Item = f64>) -> Self {
        Self::new(what, Unit::EachSecond, rates)
    }

    /// What must never happen, counted in each run.
    pub(crate) fn never(what: impl Into<String>, counts: impl IntoIterator<Item = usize>) -> Self {
        Self::new(what, Unit::Count, counts.into_iter().map(|count| count as f64)).budget(0.0)
    }

    fn new(what: impl Into<String>, unit: Unit, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        if unit == Unit::EachSecond {
            values.reverse();
        }
        Self { what: what.into(), values, unit, budget: None, reference: "" }
    }

    /// What the median is held against: milliseconds, or how many each second.
    pub(crate) fn budget(mut self, budget: f64) -> Self {
        self.budget = Some(budget);
        self
    }

    /// What others need, for people.
    pub(crate) fn reference(mut self, reference: &'static str) -> Self {
        self.reference = reference;
        self
    }

    /// The value that this share of the runs is not worse than (nearest rank).
    fn rank(&self, share: f64) -> f64 {
        let rank = (self.values.len() as f64 * share).ceil() as usize;
        self.values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    fn is_true(&self) -> bool {
        self.unit != Unit::Count || self.values.iter().all(|count| *count == 0.0)
    }

    fn cells(&self) -> [String; 8] {
        let median = self.rank(0.5);
        let (budget, met) = match (self.unit, self.budget) {
            (_, None) => (String::new(), ""),
            (Unit::Milliseconds, Some(most)) => (format!("≤ {most} ms"), yes(median <= most)),
            (Unit::EachSecond, Some(least)) => (format!("≥ {least}/s"), yes(median >= least)),
            (Unit::Count, Some(count)) => (count.to_string(), yes(self.is_true())),
        };
        [
            self.what.clone(),
            self.unit.figure(median),
            self.unit.figure(self.rank(0.99)),
            self.unit.figure(self.rank(1.0)),
            self.values.len().to_string(),
            budget,
            met.to_owned(),
            self.reference.to_owned(),
        ]
    }
}

impl Unit {
    fn figure(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::EachSecond => format!("{value:.0}/s"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

/// All figures, printed as a table that is text and Markdown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        self.0.extend(rows);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing was counted that must not be. That a budget is missed is no untruth.
    pub(crate) fn is_true(&self) -> bool {
        self.0.iter().all(Row::is_true)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<[String; 8]> = std::iter::once(HEADINGS.map(str::to_owned))
            .chain([HEADINGS.map(|_| String::new())])
            .chain(self.0.iter().map(Row::cells))
            .collect();
        let width =
            |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for (at, cells) in lines.iter().enumerate() {
            for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
                let right = RIGHT.contains(&column);
                match (at, right) {
                    (1, true) => write!(f, "|{:-<width$}-:", "")?,
                    (1, false) => write!(f, "|{:-<width$}--", "")?,
                    (_, true) => write!(f, "| {cell:>width$} ")?,
                    (_, false) => write!(f, "| {cell:<width$} ")?,
                }
            }
            f.write_str(if at + 1 < lines.len() { "|\n" } else { "|" })?;
        }
        Ok(())
    }
}

const HEADINGS: [&str; 8] = ["what", "p50", "p99", "worst", "runs", "budget", "met", "reference"];
/// The columns of figures.
const RIGHT: std::ops::Range<usize> = 1..5;
