//! The difference of two texts as `diff -u` shows it.

use crate::render::colour::Style;
use crate::ui::Ui;

/// Lines around a change.
const CONTEXT: usize = 3;

/// The unified difference of the text of `name` before and after.
pub fn unified(ui: &Ui, name: &str, before: &str, after: &str) -> String {
    let difference = similar::TextDiff::from_lines(before, after);
    let text = difference
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&format!("old/{name}"), &format!("new/{name}"))
        .to_string();
    if !ui.colour {
        return text;
    }
    let painted = text.split_inclusive('\n').map(|line| {
        let (body, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |body| (body, "\n"));
        let style = match body.as_bytes().first() {
            Some(b'+') => Style::Green,
            Some(b'-') => Style::Red,
            _ => return line.to_owned(),
        };
        format!("{}{end}", ui.paint(style, body))
    });
    painted.collect()
}
