//! Text with tabulators becomes columns, as Go's `text/tabwriter` makes them for kubectl.
//!
//! A cell ends with a tabulator; what follows the last one belongs to no column. A column is as
//! wide as its widest cell over consecutive lines that have that cell, so a line without one ends
//! the block.

/// Aligns the cells; `padding` blanks follow the widest cell of a column.
pub(crate) fn align(text: &str, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut aligned = String::with_capacity(text.len() * 2);
    format(&lines, padding, &mut Vec::new(), &mut aligned);
    aligned
}

fn format(lines: &[Vec<&str>], padding: usize, widths: &mut Vec<usize>, aligned: &mut String) {
    let column = widths.len();
    let has_cell = |line: &Vec<&str>| column + 1 < line.len();
    let (mut written, mut at) = (0, 0);
    while at < lines.len() {
        if !has_cell(&lines[at]) {
            at += 1;
            continue;
        }
        write_lines(&lines[written..at], widths, aligned);
        let length = lines[at..].iter().take_while(|line| has_cell(line)).count();
        let block = &lines[at..at + length];
        let width = block.iter().map(|line| line[column].chars().count() + padding).max();
        widths.push(width.unwrap_or(0));
        format(block, padding, widths, aligned);
        widths.pop();
        at += length;
        written = at;
    }
    write_lines(&lines[written..], widths, aligned);
}

fn write_lines(lines: &[Vec<&str>], widths: &[usize], aligned: &mut String) {
    for line in lines {
        for (at, cell) in line.iter().enumerate() {
            aligned.push_str(cell);
            if let Some(width) = widths.get(at) {
                let missing = width.saturating_sub(cell.chars().count());
                aligned.extend(std::iter::repeat_n(' ', missing));
            }
        }
        aligned.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_tabulator_ends_a_block() {
        let text = "Name:\tweb\nNamespace:\tdefault\nIPs:\n  IP:\t10.0.0.1\nA\tb\tc\nAA\tbbb\td\n";
        assert_eq!(
            align(text, 2),
            "Name:       web\nNamespace:  default\nIPs:\n  IP:  10.0.0.1\nA      b    c\nAA     bbb  d\n"
        );
    }
}
