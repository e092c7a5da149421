//! Blocks that stand on one line, as the loader of older agent files takes them: `plugin "raw_exec" { config { enabled =
//! true } }`. HCL's own grammar wants what is in a block on lines of its own, so line ends are put in before it parses,
//! and positions are brought back afterwards.

/// A text with line ends put in.
#[derive(Debug)]
pub struct Expanded {
    /// The text that HCL's grammar takes.
    pub text: String,
    /// Where line ends were put in, as offsets into `text`.
    added: Vec<usize>,
}

impl Expanded {
    /// No line end had to be put in.
    pub fn is_as_written(&self) -> bool {
        self.added.is_empty()
    }

    /// The offset in the text as it was written.
    pub fn original(&self, offset: usize) -> usize {
        offset - self.added.partition_point(|added| *added < offset)
    }

    /// The offset in `text` of a line and column that are counted from 1, the column in characters.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let start = match line.checked_sub(2) {
            None => 0,
            Some(before) => match self.text.match_indices('\n').nth(before) {
                Some((at, _)) => at + 1,
                None => self.text.len(),
            },
        };
        let rest = &self.text[start..];
        let within = rest.char_indices().nth(column.saturating_sub(1));
        start + within.map_or(rest.len(), |(at, _)| at)
    }
}

/// A brace that is open.
struct Brace {
    /// It belongs to a block, not to an object behind `=`.
    block: bool,
}

/// Puts a line end behind each brace that opens a block, before the one that closes it, and in place of the commas
/// between, where there is none.
pub fn expanded(text: &str) -> Expanded {
    let mut out = String::with_capacity(text.len() + 16);
    let mut added = Vec::new();
    let mut open: Vec<Brace> = Vec::new();
    let mut lists = 0_usize;
    // The last character that is neither blank nor comment, and whether a line has ended since.
    let mut before = '\n';
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if let Some(length) = opaque(rest) {
            out.push_str(&rest[..length]);
            if !rest.starts_with(['#', '/']) {
                before = '"';
            }
            at += length;
            continue;
        }
        let mut shown = c;
        match c {
            '{' => {
                let block = lists == 0 && !matches!(before, '=' | ':');
                open.push(Brace { block });
            }
            '}' => {
                let block = open.pop().is_some_and(|brace| brace.block);
                if block && !matches!(before, '\n' | '{') {
                    added.push(out.len());
                    out.push('\n');
                }
            }
            '[' => lists += 1,
            ']' => lists = lists.saturating_sub(1),
            ',' if lists == 0 && open.last().is_some_and(|brace| brace.block) => shown = '\n',
            _ => {}
        }
        out.push(shown);
        if shown == '\n' || !c.is_whitespace() {
            before = shown;
        }
        at += c.len_utf8();
        let opens_block = c == '{' && open.last().is_some_and(|brace| brace.block);
        let follows = text[at..].trim_start_matches([' ', '\t', '\r']);
        if opens_block
            && !follows.is_empty()
            && !follows.starts_with(['\n', '#', '}'])
            && !follows.starts_with("//")
        {
            added.push(out.len());
            out.push('\n');
        }
        // The block that has ended here may be followed by another on the same line.
        let closes_block = c == '}'
            && !follows.is_empty()
            && !follows.starts_with(['\n', '#', ',', ')', ']', '}']);
        if closes_block
            && !follows.starts_with("//")
            && lists == 0
            && open.iter().all(|brace| brace.block)
        {
            added.push(out.len());
            out.push('\n');
            before = '\n';
        }
    }
    Expanded { text: out, added }
}

/// How long a string, comment or heredoc is that `text` begins with.
fn opaque(text: &str) -> Option<usize> {
    let to_line_end = |text: &str| text.find('\n').unwrap_or(text.len());
    if text.starts_with('#') || text.starts_with("//") {
        return Some(to_line_end(text));
    }
    if let Some(rest) = text.strip_prefix("/*") {
        return Some(rest.find("*/").map_or(text.len(), |end| end + 4));
    }
    if let Some(rest) = text.strip_prefix("<<") {
        let name = rest.trim_start_matches('-').lines().next()?.trim();
        if name.is_empty() {
            return None;
        }
        let mut length = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            length += line.len();
            if index > 0 && line.trim() == name {
                // The line end behind it stays to be seen.
                return Some(length - line.len() + line.trim_end_matches(['\n', '\r']).len());
            }
        }
        return Some(text.len());
    }
    if !text.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            // A string ends with its line; what is wrong with it is the parser's to say.
            '\n' => return Some(at),
            _ => {}
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_files_stay_as_they_are() {
        for text in [
            "server {\n  enabled = true\n}\n",
            "client {\n  meta = { a = \"{ x }\", b = 1 }\n  servers = [\"a\", \"b\"]\n}\n",
            "ports { http = 1 }\n"
                .replace("{ http = 1 }", "{\n http = 1\n}")
                .as_str(),
            "# a { b }\nx = <<EOF\n{ a = 1 }\nEOF\n",
            "client {}\n",
            "client { # why\n}\n",
        ] {
            assert_eq!(expanded(text).text, text);
        }
    }

    #[test]
    fn positions_lead_back_to_what_was_written() {
        let text = "plugin \"x\" { config { enabled = true } }\nregion = 3\n";
        let expanded = expanded(text);
        for word in ["plugin", "config", "enabled", "true", "region"] {
            let there = expanded.text.find(word).unwrap_or(usize::MAX);
            assert_eq!(
                expanded.original(there),
                text.find(word).unwrap_or(0),
                "{word}"
            );
        }
        assert_eq!(expanded.offset(1, 1), 0);
        let config = expanded.text.find("config").unwrap_or(0);
        let lines = expanded.text[..config].matches('\n').count() + 1;
        let start = expanded.text[..config].rfind('\n').map_or(0, |at| at + 1);
        assert_eq!(expanded.offset(lines, config - start + 1), config);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z\"{}=,\\[\\]<# \n-]{0,60}|.{0,20}") {
            let expanded = expanded(&text);
            for at in 0..=expanded.text.len() {
                let _ = expanded.original(at);
            }
            for line in 0..4 {
                let _ = expanded.offset(line, 3);
            }
        }
    }
}
