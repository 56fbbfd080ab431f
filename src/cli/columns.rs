//! Tables for terminals.

use std::borrow::Borrow;

/// Each row as a line: cells in columns as wide as their longest cell, with two spaces between them.
pub(super) fn columns<C: AsRef<str>, R: Borrow<[C]>>(rows: &[R]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (at, cell) in row.borrow().iter().enumerate() {
            let width = cell.as_ref().chars().count();
            match widths.get_mut(at) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &R| {
        let cells = row.borrow().iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{:width$}", cell.as_ref()));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell_in_characters() {
        let rows = [["NAME", "SIZE", ""], ["größe", "1Gi", "x"], ["db", "1024Gi", ""]];
        assert_eq!(columns(&rows), ["NAME   SIZE", "größe  1Gi     x", "db     1024Gi"]);
        // The last rows are shorter than the first.
        assert_eq!(columns(&[&rows[0][..2], &rows[1][..1]]), ["NAME   SIZE", "größe"]);
        assert_eq!(columns::<&str, [&str; 0]>(&[[]]), [""]);
    }
}
