//! A section as an aligned table for people.

use std::fmt::{self, Display, Formatter};

use comfy_table::{CellAlignment, Table, presets};

use crate::{
    report::{Cell, Outcome, Section},
    stats::Spread,
};

impl Display for Section {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.title)?;
        let table = self.table();
        if table.row_count() > 0 {
            writeln!(out, "{table}")?;
        }
        // A reason is a sentence: in a column it would push all figures out of sight.
        for row in &self.rows {
            if let Outcome::Failed(reason) = &row.outcome {
                writeln!(out, "  {}: failed, and is not compared: {reason}", row.name)?;
            }
        }
        for note in &self.notes {
            writeln!(out, "  {note}")?;
        }
        Ok(())
    }
}

impl Section {
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
        table.set_header([""].iter().chain(&self.columns));
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            if let Outcome::Cells(cells) = &row.outcome {
                table.add_row(
                    std::iter::once(row.name.clone()).chain(cells.iter().map(Cell::to_string)),
                );
            }
        }
        table
    }
}

impl Display for Cell {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread(Spread { median, rounds: 1, .. }) => out.write_str(&number(*median)),
            Self::Spread(Spread { median, min, max, .. }) => {
                write!(out, "{} ({}..{})", number(*median), number(*min), number(*max))
            }
            Self::Median(spread) => out.write_str(&number(spread.median)),
            Self::Largest(spread) => out.write_str(&number(spread.max)),
            Self::Number(value) => out.write_str(&number(*value)),
            Self::Absent => out.write_str("-"),
        }
    }
}

/// Three significant digits at least, no digit before the point dropped, thousands set apart.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let plain = format!("{value:.decimals$}");
    let digits = plain.find('.').unwrap_or(plain.len());
    let mut spaced = String::new();
    for (position, character) in plain.chars().enumerate() {
        let is_group = position > 0 && position < digits && (digits - position) % 3 == 0;
        if is_group && !spaced.ends_with('-') {
            spaced.push(',');
        }
        spaced.push(character);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::number;
    use crate::{
        report::{Cell, Outcome, Row, Section},
        stats::Spread,
    };

    #[test]
    fn numbers_keep_three_digits() {
        let shown: Vec<String> =
            [0.0, 1.0, 2.34567, 23.4567, 234.567, 1_234_567.8, -123_456.0].map(number).into();
        assert_eq!(shown, ["0.00", "1.00", "2.35", "23.5", "235", "1,234,568", "-123,456"]);
    }

    #[test]
    fn columns_line_up_and_failures_stand_below() {
        let section = Section {
            title: "a title".into(),
            columns: vec!["requests/s", "ratio"],
            rows: vec![
                Row {
                    name: "epoll".into(),
                    outcome: Outcome::Cells(vec![
                        Spread::of([1000.0, 3000.0, 2000.0]).into(),
                        Cell::Absent,
                    ]),
                },
                Row { name: "broken".into(), outcome: Outcome::Failed("it lied".into()) },
            ],
            notes: vec!["a note".into()],
        };
        let shown = section.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(shown.contains("2,000 (1,000..3,000)"), "{shown}");
        assert!(shown.contains("broken: failed, and is not compared: it lied"), "{shown}");
        let widths: Vec<usize> =
            lines[1..].iter().take_while(|line| !line.starts_with("  ")).map(|l| l.len()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{shown}");
    }
}
