//! Columns and `key = value` lists: two blanks between columns, the last one not padded.

/// Shown for a cell that has nothing in it.
pub const NONE: &str = "<none>";

/// Rows of cells under a heading; empty cells become `<none>`.
#[derive(Debug, Default, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
    keep_empty: bool,
}

impl Table {
    /// A table with these headings.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self {
            rows: vec![headings.into_iter().map(Into::into).collect()],
            keep_empty: false,
        }
    }

    /// Empty cells stay empty.
    pub fn keep_empty(mut self) -> Self {
        self.keep_empty = true;
        self
    }

    /// One more row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines, without a final line end.
    pub fn render(&self) -> String {
        columns(&self.rows, "  ", if self.keep_empty { "" } else { NONE })
    }

    /// As [`Table::render`], in kubectl's looks: three blanks between columns.
    pub fn render_wide(&self) -> String {
        columns(&self.rows, "   ", NONE)
    }
}

/// A list of `key = value` lines with the `=` aligned.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    rows: Vec<Vec<String>>,
}

impl Fields {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more field; an empty value shows as `<none>`.
    pub fn add(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        self.rows.push(vec![key.to_owned(), value.into()]);
        self
    }

    /// The lines, without a final line end.
    pub fn render(&self) -> String {
        columns(&self.rows, " = ", NONE)
    }
}

fn columns(rows: &[Vec<String>], glue: &str, empty: &str) -> String {
    let shown = |cell: &str| -> String {
        if cell.is_empty() {
            empty.to_owned()
        } else {
            cell.to_owned()
        }
    };
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            let width = shown(cell).chars().count();
            match widths.get_mut(index) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut line = String::new();
            for (index, cell) in row.iter().enumerate() {
                let cell = shown(cell);
                line.push_str(&cell);
                if index + 1 < row.len() {
                    let pad = widths[index].saturating_sub(cell.chars().count());
                    line.extend(std::iter::repeat_n(' ', pad));
                    line.push_str(glue);
                }
            }
            line
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_but_the_last() {
        let mut table = Table::new(["ID", "Name", "Class"]);
        table.row(["1", "a-long-name", ""]);
        table.row(["12345", "b", "x"]);
        assert_eq!(
            table.render(),
            "ID     Name         Class\n1      a-long-name  <none>\n12345  b            x"
        );
    }

    #[test]
    fn an_empty_last_cell_that_is_kept_leaves_the_gap() {
        let mut table = Table::new(["CPU", "Addresses"]).keep_empty();
        table.row(["1/20 MHz", ""]);
        assert_eq!(table.render(), "CPU       Addresses\n1/20 MHz  ");
    }

    #[test]
    fn fields_align_their_equal_signs_and_count_characters_not_bytes() {
        let mut fields = Fields::new();
        fields
            .add("Zeit µs", "61µs")
            .add("ID", "")
            .add("Job ID", "a = b");
        assert_eq!(
            fields.render(),
            "Zeit µs = 61µs\nID      = <none>\nJob ID  = a = b"
        );
    }
}
