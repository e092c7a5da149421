//! Reads what commands print: `Key = value` lines and tables.

use std::collections::BTreeMap;

/// The value of a `Key = value` line.
#[must_use]
pub fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim_end() == key).then(|| value.trim().to_owned())
    })
}

/// The keys of the `Key = value` lines up to the first empty line, in order.
#[must_use]
pub fn field_names(text: &str) -> Vec<String> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(" = ").or_else(|| line.split_once("= ")))
        .map(|(key, _)| key.trim().to_owned())
        .collect()
}

/// The rows of the table whose header line begins with `first`, as column name → cell. Columns are found by the
/// position of their names, so cells may hold blanks.
#[must_use]
pub fn table(text: &str, first: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = text.lines().skip_while(|line| !is_header(line, first));
    let Some(header) = lines.next() else {
        return Vec::new();
    };
    let columns = columns(header);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let characters: Vec<char> = line.chars().collect();
            columns
                .iter()
                .enumerate()
                .map(|(index, (name, start))| {
                    let end = columns
                        .get(index + 1)
                        .map_or(characters.len(), |(_, next)| *next);
                    let cell: String = characters
                        .get(*start..end.min(characters.len()))
                        .unwrap_or_default()
                        .iter()
                        .collect();
                    (name.clone(), cell.trim().to_owned())
                })
                .collect()
        })
        .collect()
}

fn is_header(line: &str, first: &str) -> bool {
    line.starts_with(first) && line.contains("  ") && !line.contains(" = ")
}

/// The names of a header line's columns and where they begin.
fn columns(header: &str) -> Vec<(String, usize)> {
    let characters: Vec<char> = header.chars().collect();
    let mut columns = Vec::new();
    let mut start = 0;
    while start < characters.len() {
        let mut end = start;
        while end < characters.len()
            && !(characters[end] == ' ' && characters.get(end + 1).is_none_or(|c| *c == ' '))
        {
            end += 1;
        }
        columns.push((characters[start..end].iter().collect(), start));
        start = end;
        while start < characters.len() && characters[start] == ' ' {
            start += 1;
        }
    }
    columns
}

/// The names of the columns of the table whose header begins with `first`.
#[must_use]
pub fn column_names(text: &str, first: &str) -> Vec<String> {
    text.lines()
        .find(|line| is_header(line, first))
        .map(|header| columns(header).into_iter().map(|(name, _)| name).collect())
        .unwrap_or_default()
}

/// What stands between the first pair of double quotes on the first line that contains `mark`.
#[must_use]
pub fn quoted(text: &str, mark: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(mark))?;
    line.split('"').nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "ID            = example\nSubmit Date   = 2021\n\nSummary\nTask Group  Queued  Failed\ncache       0       2\n\nAllocations\nID        Node ID   Created\n6085301b  eeff52e3  6m58s ago\n";

    #[test]
    fn fields_and_tables_are_found() {
        assert_eq!(field(STATUS, "ID").as_deref(), Some("example"));
        assert_eq!(field_names(STATUS), ["ID", "Submit Date"]);
        assert_eq!(column_names(STATUS, "ID  "), ["ID", "Node ID", "Created"]);
        assert_eq!(table(STATUS, "ID  ").len(), 1);
        assert_eq!(table(STATUS, "ID  ")[0]["Created"], "6m58s ago");
        assert_eq!(table(STATUS, "Task Group")[0]["Failed"], "2");
    }
}
