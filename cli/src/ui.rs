//! Where a command's words go: standard output, standard error, and whether colours and redrawing are wanted.
//!
//! A reader that goes away (`rove … | head -1`) ends the command quietly: the first broken pipe is remembered and
//! [`Ui::closed`] tells the long-running commands to stop.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::env::Env;
use crate::render::colour::Style;

/// The two output streams of a command and how to write to them.
pub struct Ui {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    /// Colours are written on standard output.
    pub colour: bool,
    /// Colours are written on standard error, which may go elsewhere.
    pub colour_errors: bool,
    /// Output goes to a terminal and may be redrawn in place.
    pub live: bool,
    /// Standard input is a terminal.
    pub interactive: bool,
    closed: bool,
    lost: Option<io::Error>,
}

impl Ui {
    /// The process's own streams; colours follow the terminal and `NO_COLOR`.
    pub fn for_process(env: &Env) -> Self {
        let live = io::stdout().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: Box::new(io::BufReader::new(io::stdin())),
            colour: wants_colour(env, live),
            colour_errors: wants_colour(env, io::stderr().is_terminal()),
            live,
            interactive: io::stdin().is_terminal(),
            closed: false,
            lost: None,
        }
    }

    /// Streams given by the caller, as a pipe: no colour, no redrawing.
    #[cfg(test)]
    pub fn plain(
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
        input: Box<dyn BufRead + Send>,
    ) -> Self {
        Self {
            out,
            err,
            input,
            colour: false,
            colour_errors: false,
            live: false,
            interactive: false,
            closed: false,
            lost: None,
        }
    }

    /// One line (or several, with a final line end added) on standard output.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.write(text.as_ref().as_bytes());
        self.write(b"\n");
        self.flush();
    }

    /// One line on standard error, red on a terminal.
    pub fn error(&mut self, text: impl AsRef<str>) {
        let text = Style::Red.paint(text.as_ref(), self.colour_errors);
        // Nowhere is left to say that standard error is gone.
        let _ = writeln!(self.err, "{text}");
        let _ = self.err.flush();
    }

    /// Bytes as they are on standard output.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.out.write_all(bytes) {
            self.note(error);
        }
    }

    /// Bytes as they are on standard error.
    pub fn write_error(&mut self, bytes: &[u8]) {
        let _ = self.err.write_all(bytes);
        let _ = self.err.flush();
    }

    /// Hands everything on to the reader.
    pub fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.note(error);
        }
    }

    /// The reader of standard output is gone: nothing more is worth doing for it.
    pub fn closed(&self) -> bool {
        self.closed
    }

    fn note(&mut self, error: io::Error) {
        // A full disk under a redirect is as final for this output as a closed pipe, but nobody has wished for it.
        self.closed = true;
        if error.kind() != io::ErrorKind::BrokenPipe {
            self.lost.get_or_insert(error);
        }
    }

    /// Why something that was written did not arrive, unless the reader went away by itself.
    pub fn lost(&mut self) -> Option<io::Error> {
        self.lost.take()
    }

    /// `text` in `style` where colours are wanted.
    pub fn paint(&self, style: Style, text: &str) -> String {
        style.paint(text, self.colour)
    }

    /// A heading.
    pub fn bold(&self, text: &str) -> String {
        self.paint(Style::Bold, text)
    }

    /// Asks on standard output, answers from standard input; none at its end.
    pub fn ask(&mut self, question: &str) -> Option<String> {
        self.write(question.as_bytes());
        self.write(b" ");
        self.flush();
        let mut answer = String::new();
        match self.input.read_line(&mut answer) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(answer.trim().to_owned()),
        }
    }

    /// All of standard input.
    pub fn read_input(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn wants_colour(env: &Env, live: bool) -> bool {
    let set = |name: &str| env.get(name).is_some_and(|v| !v.is_empty());
    if set("ROVE_CLI_NO_COLOR") || set("NOMAD_CLI_NO_COLOR") || set("NO_COLOR") {
        return false;
    }
    if set("ROVE_CLI_FORCE_COLOR") || set("NOMAD_CLI_FORCE_COLOR") {
        return true;
    }
    live && env.get("TERM") != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_terminal_and_the_environment() {
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], bool, bool);
        let cases: &[Row<'_>] = &[
            ("a terminal", &[], true, true),
            ("a pipe", &[], false, false),
            ("NO_COLOR on a terminal", &[("NO_COLOR", "1")], true, false),
            ("an empty NO_COLOR", &[("NO_COLOR", "")], true, true),
            (
                "Nomad's own switch",
                &[("NOMAD_CLI_NO_COLOR", "1")],
                true,
                false,
            ),
            (
                "forced in a pipe",
                &[("NOMAD_CLI_FORCE_COLOR", "1")],
                false,
                true,
            ),
            (
                "no wins over forced",
                &[("NO_COLOR", "1"), ("NOMAD_CLI_FORCE_COLOR", "1")],
                true,
                false,
            ),
            ("a dumb terminal", &[("TERM", "dumb")], true, false),
        ];
        for (what, vars, live, expected) in cases {
            let env = Env::from_pairs(vars.iter().copied());
            assert_eq!(wants_colour(&env, *live), *expected, "{what}");
        }
    }

    struct Gone(io::ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_remembered_and_not_fatal() {
        let gone = || Box::new(Gone(io::ErrorKind::BrokenPipe));
        let mut ui = Ui::plain(gone(), gone(), Box::new(io::empty()));
        assert!(!ui.closed());
        ui.line("text");
        ui.error("text");
        ui.write_error(b"text");
        assert!(ui.closed());
        assert_eq!(ui.ask("sure?"), None);
        assert!(ui.lost().is_none());
        let full = Box::new(Gone(io::ErrorKind::StorageFull));
        let mut ui = Ui::plain(full, gone(), Box::new(io::empty()));
        ui.line("text");
        assert_eq!(
            ui.lost().map(|e| e.kind()),
            Some(io::ErrorKind::StorageFull)
        );
    }
}
