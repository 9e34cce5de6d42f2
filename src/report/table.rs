use crate::explain::Row;
use crate::model::{Reach, printable_name};

const HEAD: [&str; 7] = ["CONTAINER", "PATH", "DURABILITY", "LOST WHEN", "REACH", "ON", "DATA OF"];

/// The most characters that a column is wide.
const WIDEST: usize = 80;

/// The durability table as text: one block an object, columns as wide as they must be.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for block in rows.chunk_by(|a, b| a.object == b.object && a.file == b.file) {
        if let Some(first) = block.first() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!(
                "{} ({})\n",
                printable_name(&first.object.to_string()),
                printable_name(&first.file)
            ));
        }
        let cells: Vec<[String; 7]> =
            std::iter::once(HEAD.map(str::to_owned)).chain(block.iter().map(cells)).collect();
        let mut widths = [0; 7];
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                // A cell that is longer than most stands out of its column, and does not widen it for all.
                *width = (*width).max(cell.chars().take(WIDEST).count());
            }
        }
        for row in &cells {
            let line: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            text.push_str(&format!("  {}\n", line.join("  ").trim_end()));
        }
    }
    text
}

fn cells(row: &Row) -> [String; 7] {
    let container = match row.section {
        "main" => row.container.clone(),
        section => format!("{} ({section})", row.container),
    };
    let durability = if row.durability == row.at_most {
        row.durability.to_string()
    } else {
        format!("{} or {}", row.durability, row.at_most)
    };
    let reach = match row.reach {
        Reach::AnyNode => "any node",
        Reach::SomeNodes => "some nodes",
        Reach::Unknown => "unknown",
    };
    [
        container,
        row.path.clone(),
        durability,
        row.lost_when.to_owned(),
        reach.to_owned(),
        row.volume.clone(),
        row.data_of.clone().unwrap_or_default(),
    ]
    .map(|cell| printable_name(&cell).into_owned())
}
