//! What a workload hands back: sections of rows, the same for the printed table and for JSON.

use serde::Serialize;

use crate::{machine::Machine, stats::Spread};

/// Everything one command measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    command: Vec<String>,
    machine: Machine,
    sections: Vec<Section>,
}

/// One table: what was asked, and a row for each that answered.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
    /// What a reader must know to read the figures: what was skipped, and why.
    pub(crate) notes: Vec<String>,
}

/// The figures of one server or runtime, one for each column, or why there are none.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Cells(Vec<Cell>),
    Failed(String),
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    Spread(Spread),
    /// A spread of which the table shows the median alone.
    Median(Spread),
    /// A spread of which the table shows the largest value alone.
    Largest(Spread),
    Number(f64),
    Absent,
}

impl Report {
    pub(crate) fn new(machine: Machine, sections: Vec<Section>) -> Self {
        Self { command: std::env::args().collect(), machine, sections }
    }
}

impl Section {
    /// For what cannot be run here.
    pub(crate) fn skipped(title: String, reason: &anyhow::Error) -> Self {
        let notes = vec![format!("skipped: {reason:#}")];
        Self { title, columns: Vec::new(), rows: Vec::new(), notes }
    }
}

impl From<Option<Spread>> for Cell {
    fn from(spread: Option<Spread>) -> Self {
        spread.map_or(Self::Absent, Self::Spread)
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Absent, Self::Number)
    }
}

impl Cell {
    /// The spread of one figure over all rounds.
    pub(crate) fn over<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> Self {
        Spread::of(rounds.iter().map(figure)).into()
    }

    pub(crate) fn median_only(self) -> Self {
        match self {
            Self::Spread(spread) => Self::Median(spread),
            other => other,
        }
    }

    pub(crate) fn max_only(self) -> Self {
        match self {
            Self::Spread(spread) => Self::Largest(spread),
            other => other,
        }
    }
}
