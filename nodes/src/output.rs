//! What commands print: tables for eyes, one JSON object a line for programs, and errors on stderr.
//!
//! A command fills typed rows ([`Row`]) and gives them to a [`Printer`], which prints either form of the same
//! value; so that text and JSON cannot say different things. JSON field names are stable: they are the names of
//! the row's fields, with the unit last (`mem_bytes`, `left_ms`).

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, ContentArrangement, Table};
use neap_protocol::time::Moment;
use serde::Serialize;

use crate::exit::Exit;

/// The form of what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned tables and sentences, for eyes.
    #[default]
    Text,
    /// One JSON object a line, with stable field names.
    Json,
}

/// Whether to colour what is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether a stream that is or is not a terminal gets colours, by this choice and the environment.
    pub fn enabled(self, terminal: bool) -> bool {
        let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        self.decide(terminal, env("NO_COLOR").is_some(), env("TERM").is_some_and(|term| term == "dumb"))
    }

    fn decide(self, terminal: bool, no_color: bool, dumb: bool) -> bool {
        match self {
            Self::Auto => terminal && !no_color && !dumb,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// One line of a listing: its fields serialise to one JSON object, its cells to one line of a table.
pub trait Row: Serialize {
    /// The table's columns, from the left.
    const COLUMNS: &'static [Column];

    /// One cell for each of [`COLUMNS`](Self::COLUMNS). An empty one is shown as `-`.
    fn cells(&self) -> Vec<Cell>;
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    align: CellAlignment,
}

impl Column {
    /// A column of words, flush left. Titles are in capitals.
    pub const fn left(title: &'static str) -> Self {
        Self { title, align: CellAlignment::Left }
    }

    /// A column of quantities, flush right.
    pub const fn right(title: &'static str) -> Self {
        Self { title, align: CellAlignment::Right }
    }
}

/// A cell of a table: its text, and how it stands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell that stands out by `tone`.
    pub fn toned(text: impl fmt::Display, tone: Tone) -> Self {
        Self { text: printable(&text.to_string()), tone }
    }
}

impl<T: fmt::Display> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// How a word stands out where there are colours. It repeats what the word says: nothing is said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// All is well.
    Good,
    /// On its way, or worth a look.
    Warn,
    /// Somebody must act.
    Bad,
    /// Of little interest.
    Dim,
}

impl Tone {
    /// `text` in this tone, or as it is where `color` is off.
    pub fn paint(self, text: &str, color: bool) -> String {
        let style = self.style();
        match color {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    fn style(self) -> anstyle::Style {
        use anstyle::AnsiColor::{Green, Red, Yellow};
        match self {
            Self::Plain => anstyle::Style::new(),
            Self::Good => Green.on_default(),
            Self::Warn => Yellow.on_default(),
            Self::Bad => Red.on_default().bold(),
            Self::Dim => anstyle::Style::new().dimmed(),
        }
    }

    fn cell(self, cell: comfy_table::Cell) -> comfy_table::Cell {
        use comfy_table::Color::{DarkGreen, DarkRed, DarkYellow};
        match self {
            Self::Plain => cell,
            Self::Good => cell.fg(DarkGreen),
            Self::Warn => cell.fg(DarkYellow),
            Self::Bad => cell.fg(DarkRed).add_attribute(Attribute::Bold),
            Self::Dim => cell.add_attribute(Attribute::Dim),
        }
    }
}

/// Prints a command's results on standard output, in the form that was asked for.
#[derive(Debug)]
pub struct Printer<W = Stdout> {
    out: W,
    format: Format,
    color: bool,
    /// Cells wrap to this many columns; `None`: each row is one line, however long (a pipe, a file).
    width: Option<u16>,
}

impl Printer {
    /// A printer on standard output: colours and wrapping only where it is a terminal.
    pub fn stdout(format: Format, color: Color) -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        let size = terminal.then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
        let width = size.map(|size| size.ws_col).filter(|columns| *columns > 0);
        Self { color: color.enabled(terminal), out, format, width }
    }
}

impl<W: Write> Printer<W> {
    /// A printer on any writer, for tests and files.
    pub fn new(out: W, format: Format, color: bool, width: Option<u16>) -> Self {
        Self { out, format, color, width }
    }

    /// The form that is printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether text is coloured.
    pub fn color(&self) -> bool {
        self.color
    }

    /// Prints a listing: a table with a line of titles, or `none` (a sentence) where there is no row; in JSON one
    /// object a row, and nothing where there is none.
    ///
    /// # Errors
    /// The writer's; see [`Failure::from`] for what becomes of it.
    pub fn rows<R: Row>(&mut self, rows: &[R], none: &str) -> io::Result<()> {
        match self.format {
            Format::Json => rows.iter().try_for_each(|row| self.json(row))?,
            Format::Text if rows.is_empty() => writeln!(self.out, "{none}")?,
            Format::Text => writeln!(self.out, "{}", table(rows, self.color, self.width))?,
        }
        self.out.flush()
    }

    /// Prints one value: its sentence (whose words from peers have gone through [`printable`]), or its object.
    ///
    /// # Errors
    /// The writer's.
    pub fn one(&mut self, value: &(impl Serialize + fmt::Display)) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(value)?,
            Format::Text => writeln!(self.out, "{value}")?,
        }
        self.out.flush()
    }

    /// Prints a line that only eyes need (a title between two tables, a hint); nothing in JSON.
    ///
    /// # Errors
    /// The writer's.
    pub fn note(&mut self, text: impl fmt::Display) -> io::Result<()> {
        match self.format {
            Format::Json => Ok(()),
            Format::Text => writeln!(self.out, "{text}").and_then(|()| self.out.flush()),
        }
    }

    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.out.write_all(&line)
    }
}

/// `text` with every control character escaped, so that what a peer wrote cannot drive the terminal.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().flat_map(|c| if escaped(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

/// So many of something: `1 task`, `2 tasks`, `0 processes`.
pub fn counted(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    let ending = match (count, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {noun}{ending}")
}

/// A moment as the clock on this wall shows it.
pub fn clock(at: Moment) -> String {
    shown(at, "%Y-%m-%d %H:%M:%S")
}

/// The same to the millisecond, where it matters what came first.
pub fn exact_clock(at: Moment) -> String {
    shown(at, "%Y-%m-%d %H:%M:%S%.3f")
}

fn shown(at: Moment, form: &str) -> String {
    let timestamp = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let zoned = timestamp.map(|timestamp| timestamp.to_zoned(jiff::tz::TimeZone::system()));
    zoned.map_or_else(|| "-".to_owned(), |zoned| zoned.strftime(form).to_string())
}

/// Why a command did not do what was asked: how it ends, the cause, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
    help: Vec<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A failure with its cause. The message begins in lower case and ends without a full stop.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), help: Vec::new(), broken_pipe: false }
    }

    /// The same with one more line of cure.
    #[must_use]
    pub fn help(mut self, cure: impl Into<String>) -> Self {
        self.help.push(cure.into());
        self
    }

    /// A failure (exit code 1) whose message is `error` and its chain of sources, each after a colon.
    pub fn because(what: &str, error: &dyn Error) -> Self {
        let mut message = format!("failed to {what}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(Exit::Failed, message)
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether the reader of the output went away (`| head`), which is no error.
    pub fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }

    /// As lines for eyes: `error: …`, then a `help: …` for each cure.
    pub fn to_text(&self, color: bool) -> String {
        let (error, help) = (Tone::Bad.paint("error:", color), Tone::Good.paint("help:", color));
        let mut text = format!("{error} {}\n", printable(&self.message));
        for cure in &self.help {
            text.push_str(&format!("{help} {}\n", printable(cure)));
        }
        text
    }

    /// As one JSON object: `error`, `help` (a list), `code` (a word of [`Exit::name`]), `exit` (its number).
    pub fn to_json(&self) -> String {
        let (code, exit) = (self.exit.name(), self.exit.code());
        serde_json::json!({ "error": self.message, "help": self.help, "code": code, "exit": exit })
            .to_string()
    }

    /// Prints it on standard error. What cannot be printed there has nowhere left to go.
    pub fn report(&self, format: Format, color: Color) {
        let mut err = io::stderr();
        let text = match format {
            Format::Json => self.to_json() + "\n",
            Format::Text => self.to_text(color.enabled(err.is_terminal())),
        };
        let _ = err.write_all(text.as_bytes());
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

/// A failed write of the output. Other I/O errors say what they were about: [`Failure::because`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self { broken_pipe, ..Self::because("write the output", &error) }
    }
}

fn table<R: Row>(rows: &[R], color: bool, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.style_text_only();
    match color {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    let title = |column: &Column| comfy_table::Cell::new(column.title).add_attribute(Attribute::Bold);
    table.set_header(R::COLUMNS.iter().map(title));
    table.add_rows(rows.iter().map(|row| {
        let cells = row.cells();
        debug_assert_eq!(cells.len(), R::COLUMNS.len(), "a cell for each column");
        cells.into_iter().map(|cell| {
            let text = if cell.text.is_empty() { "-" } else { &cell.text };
            cell.tone.cell(comfy_table::Cell::new(text))
        })
    }));
    for (column, spec) in table.column_iter_mut().zip(R::COLUMNS) {
        column.set_padding((0, 3)).set_cell_alignment(spec.align);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct SlaveRow {
        name: &'static str,
        state: &'static str,
        tasks: u32,
        reason: &'static str,
    }

    impl Row for SlaveRow {
        const COLUMNS: &'static [Column] =
            &[Column::left("NAME"), Column::left("STATE"), Column::right("TASKS"), Column::left("REASON")];

        fn cells(&self) -> Vec<Cell> {
            let tone = if self.state == "active" { Tone::Good } else { Tone::Bad };
            vec![self.name.into(), Cell::toned(self.state, tone), self.tasks.into(), self.reason.into()]
        }
    }

    const ROWS: [SlaveRow; 2] = [
        SlaveRow { name: "slave-1", state: "active", tasks: 3, reason: "" },
        SlaveRow { name: "s2", state: "unreachable", tasks: 120, reason: "switch\x1b[2J off" },
    ];

    fn printed(format: Format, color: bool, width: Option<u16>, rows: &[SlaveRow]) -> String {
        let mut bytes = Vec::new();
        Printer::new(&mut bytes, format, color, width).rows(rows, "no slaves").unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_is_aligned_and_cannot_drive_the_terminal() {
        assert_eq!(
            printed(Format::Text, false, None, &ROWS),
            "NAME      STATE         TASKS   REASON\n\
             slave-1   active            3   -\n\
             s2        unreachable     120   switch\\u{1b}[2J off\n"
        );
        assert_eq!(printed(Format::Text, false, None, &[]), "no slaves\n");
    }

    #[test]
    fn colours_leave_the_alignment_alone() {
        let text = printed(Format::Text, true, None, &ROWS);
        assert!(text.contains("\x1b["), "{text:?}");
        let mut plain = String::new();
        let mut escape = false;
        for c in text.chars() {
            match (escape, c) {
                (false, '\x1b') => escape = true,
                (false, c) => plain.push(c),
                (true, 'm') => escape = false,
                (true, _) => {}
            }
        }
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&plain), lines(&printed(Format::Text, false, None, &ROWS)));
    }

    #[test]
    fn a_narrow_terminal_wraps_cells() {
        let text = printed(Format::Text, false, Some(44), &ROWS);
        assert!(text.lines().all(|line| line.len() <= 44), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        assert_eq!(
            printed(Format::Json, false, None, &ROWS),
            "{\"name\":\"slave-1\",\"state\":\"active\",\"tasks\":3,\"reason\":\"\"}\n\
             {\"name\":\"s2\",\"state\":\"unreachable\",\"tasks\":120,\"reason\":\"switch\\u001b[2J off\"}\n"
        );
        assert_eq!(printed(Format::Json, false, None, &[]), "");
    }

    #[test]
    fn notes_are_for_eyes() {
        let mut bytes = Vec::new();
        Printer::new(&mut bytes, Format::Json, false, None).note("holds:").unwrap();
        assert_eq!(bytes, b"");
        Printer::new(&mut bytes, Format::Text, false, None).note("holds:").unwrap();
        assert_eq!(bytes, b"holds:\n");
    }

    #[test]
    fn colours_follow_the_choice_then_the_environment_then_the_stream() {
        for (choice, terminal, no_color, dumb, expected) in [
            (Color::Auto, true, false, false, true),
            (Color::Auto, false, false, false, false),
            (Color::Auto, true, true, false, false),
            (Color::Auto, true, false, true, false),
            (Color::Always, false, true, true, true),
            (Color::Never, true, false, false, false),
        ] {
            assert_eq!(choice.decide(terminal, no_color, dumb), expected, "{choice:?} {terminal} {no_color}");
        }
    }

    #[test]
    fn a_failure_is_lines_or_one_object() {
        let failure = Failure::new(Exit::Refused, "slave-1 is draining").help("cancel drain 7 first");
        assert_eq!(failure.to_text(false), "error: slave-1 is draining\nhelp: cancel drain 7 first\n");
        assert_eq!(
            failure.to_json(),
            "{\"code\":\"refused\",\"error\":\"slave-1 is draining\",\"exit\":3,\
             \"help\":[\"cancel drain 7 first\"]}"
        );
    }

    #[test]
    fn a_broken_pipe_is_told_from_a_full_disk() {
        struct Fails(io::ErrorKind);
        impl Write for Fails {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let failure = |kind| {
            let mut printer = Printer::new(Fails(kind), Format::Json, false, None);
            Failure::from(printer.rows(&ROWS, "").unwrap_err())
        };
        assert!(failure(io::ErrorKind::BrokenPipe).is_broken_pipe());
        let full = failure(io::ErrorKind::StorageFull);
        assert!(!full.is_broken_pipe());
        assert_eq!(full.to_text(false), "error: failed to write the output: no storage space\n");
    }
}
