//! Tables as kubectl lays them out: columns as wide as their widest cell, three blanks between.

/// Rows as text. The last column is not padded.
pub(crate) fn render(header: Option<&[&str]>, rows: &[Vec<String>]) -> String {
    let header: Option<Vec<String>> =
        header.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    let all: Vec<&Vec<String>> = header.iter().chain(rows).collect();
    let columns = all.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: usize| {
        all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    all.iter().map(|row| line(row, &widths)).collect()
}

/// One row, with at least these widths: for tables that grow while they are watched.
pub(crate) fn line(cells: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (at, cell) in cells.iter().enumerate() {
        text.push_str(cell);
        if at + 1 < cells.len() {
            let width = widths.get(at).copied().unwrap_or(0);
            let missing = width.saturating_sub(cell.chars().count());
            text.push_str(&" ".repeat(missing + 3));
        }
    }
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["kubia-init".to_owned(), "0/2".to_owned(), String::new()]];
        assert_eq!(
            render(Some(&["NAME", "READY", "X"]), &rows),
            "NAME         READY   X\nkubia-init   0/2\n"
        );
    }
}
