//! Tables as kubectl lays them out: columns as wide as their widest cell, three blanks between.

use crate::printable::line;

/// Blanks behind the widest cell of a column.
const PADDING: usize = 3;
/// The narrowest column, padding included.
const NARROWEST: usize = 6;

/// A table that may grow while it is watched: columns get wider, never narrower.
#[derive(Debug, Default)]
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// A table whose columns are as wide as these from the beginning.
    pub(crate) fn with_widths(widths: &[usize]) -> Self {
        Self { widths: widths.to_vec() }
    }

    /// These rows as text. The last column is not padded.
    pub(crate) fn text(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        for row in &rows {
            self.widths.resize(self.widths.len().max(row.len()), NARROWEST - PADDING);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, cells: &[String]) -> String {
        let mut text = String::new();
        for (at, cell) in cells.iter().enumerate() {
            text.push_str(cell);
            if at + 1 < cells.len() {
                let missing = self.widths[at].saturating_sub(cell.chars().count());
                text.extend(std::iter::repeat_n(' ', missing + PADDING));
            }
        }
        text.push('\n');
        text
    }
}

/// Rows as text, under the names of the columns.
pub(crate) fn render(header: Option<&[&str]>, rows: &[Vec<String>]) -> String {
    let header = header.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let all: Vec<Vec<String>> = header.into_iter().chain(rows.iter().cloned()).collect();
    Table::default().text(&all)
}

/// A cell is one line, and nothing in it acts on a terminal.
fn printable(cell: &str) -> String {
    match cell.find(['\n', '\r', '\u{c}']) {
        Some(end) => line(&cell[..end]) + "...",
        None => line(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_never_too_narrow() {
        let rows = [row(&["kubia-init", "0/2", "1", "x"])];
        assert_eq!(
            render(Some(&["NAME", "READY", "A", "X"]), &rows),
            "NAME         READY   A     X\nkubia-init   0/2     1     x\n"
        );
    }

    #[test]
    fn a_watched_table_gets_wider_and_never_narrower() {
        let mut table = Table::with_widths(&[5]);
        assert_eq!(table.text(&[row(&["a", "b"])]), "a       b\n");
        assert_eq!(table.text(&[row(&["longer", "b"])]), "longer   b\n");
        assert_eq!(table.text(&[row(&["a", "b"])]), "a        b\n");
    }

    #[test]
    fn a_cell_is_one_line_without_terminal_sequences() {
        let rows = [row(&["\u{1b}[31mred", "one\ntwo"]), row(&["\u{9b}\u{202e}", "a\tb"])];
        let shown = "^[[31mred      one...\n\\u009b\\u202e   a\\tb\n";
        assert_eq!(render(None, &rows), shown);
    }
}
