//! Aligned tables of plain text.

use crate::stats::Spread;

/// A number as short as it still says something.
pub(crate) fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// A median and its quartiles.
pub(crate) fn spread(spread: &Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.low, spread.high)
}

/// Prints a table: the first column as wide as its rows' names, the others as wide as their widest cell.
pub(crate) fn table(title: &str, columns: &[&str], rows: &[&str], cell: impl Fn(&str, &str) -> Option<String>) {
    let text = |row: &str, column: &str| cell(row, column).unwrap_or("-".to_owned());
    let names = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let width = |column: &&str| rows.iter().map(|row| text(row, column).len()).max().unwrap_or(0).max(column.len());
    println!("\n{title}");
    print!("{:names$}", "");
    for column in columns {
        print!("  {column:>0$}", width(column));
    }
    for row in rows {
        print!("\n{row:names$}");
        for column in columns {
            print!("  {:>1$}", text(row, column), width(column));
        }
    }
    println!();
}
