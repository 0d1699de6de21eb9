//! Where rows go: standard output, or a file that gets its name when it is complete.

use super::Format;
use super::cell::{Cell, Column};
use crate::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use syncline_core::value::Value;

const BUFFER_BYTES: usize = 1 << 18;

/// Takes rows in one of the formats.
pub(super) struct Sink {
    rows: Rows,
    columns: Vec<Column>,
    safe: bool,
    file: Option<Pending>,
}

enum Rows {
    Csv(Box<csv::Writer<Target>>),
    Jsonl {
        out: BufWriter<Target>,
        line: Vec<u8>,
    },
    #[cfg(feature = "columnar")]
    Parquet(Box<super::columnar::ParquetRows>),
}

/// A file that does not have its name yet; it is removed unless it is finished.
struct Pending {
    partial: PathBuf,
    path: PathBuf,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // After `finish` there is nothing left under this name.
        drop(std::fs::remove_file(&self.partial));
    }
}

/// Where bytes go.
enum Target {
    Stdout(io::Stdout),
    File(File),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

impl Sink {
    /// Begins with the header. `safe` keeps spreadsheets from taking text for formulas.
    pub(super) fn create(
        output: Option<&Path>,
        format: Format,
        columns: &[Column],
        safe: bool,
    ) -> Result<Self, Error> {
        let (target, file) = open(output)?;
        let rows = match format {
            Format::Csv => {
                let builder =
                    csv::WriterBuilder::new().buffer_capacity(BUFFER_BYTES).from_writer(target);
                Rows::Csv(Box::new(builder))
            }
            Format::Jsonl => Rows::Jsonl {
                out: BufWriter::with_capacity(BUFFER_BYTES, target),
                line: Vec::with_capacity(1024),
            },
            Format::Parquet => parquet(target, columns)?,
        };
        let mut sink = Self { rows, columns: columns.to_vec(), safe, file };
        if let Rows::Csv(_) = sink.rows {
            let names: Vec<String> =
                sink.columns.iter().map(|column| column.name.clone()).collect();
            let header: Vec<Cell<'_>> = names.iter().map(|name| Cell::text(name)).collect();
            sink.row(&header)?;
        }
        Ok(sink)
    }

    /// Writes a row: a cell for each column.
    pub(super) fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), Error> {
        let written = match &mut self.rows {
            Rows::Csv(writer) => csv_row(writer, cells, self.safe),
            Rows::Jsonl { out, line } => {
                line.clear();
                json_row(line, &self.columns, cells).and_then(|()| out.write_all(line))
            }
            #[cfg(feature = "columnar")]
            Rows::Parquet(rows) => return rows.row(cells),
        };
        written.map_err(|source| self.trouble(source))
    }

    /// Writes what is left, and gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let (path, file) = (self.path(), self.file.take());
        let trouble = |source| match &path {
            Some(path) => Error::Write { path: path.clone(), source },
            None => Error::Output(source),
        };
        let target = match self.rows {
            Rows::Csv(writer) => writer.into_inner().map_err(|error| error.into_error()),
            Rows::Jsonl { out, .. } => out.into_inner().map_err(io::IntoInnerError::into_error),
            #[cfg(feature = "columnar")]
            Rows::Parquet(rows) => rows.finish().map(Target::File),
        };
        let mut target = target.map_err(trouble)?;
        target.flush().map_err(trouble)?;
        let (Some(pending), Target::File(open)) = (file, target) else { return Ok(()) };
        // Without it a crash of the machine could leave an empty file under the final name.
        open.sync_all().map_err(trouble)?;
        std::fs::rename(&pending.partial, &pending.path).map_err(trouble)
    }

    fn path(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|pending| pending.path.clone())
    }

    fn trouble(&self, source: io::Error) -> Error {
        match self.path() {
            Some(path) => Error::Write { path, source },
            None => Error::Output(source),
        }
    }
}

fn open(output: Option<&Path>) -> Result<(Target, Option<Pending>), Error> {
    let Some(path) = output else { return Ok((Target::Stdout(io::stdout()), None)) };
    let trouble = |source| Error::Write { path: path.to_owned(), source };
    // A device or a pipe cannot be replaced by a file.
    let is_special = path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        let file = File::options().write(true).open(path).map_err(trouble)?;
        return Ok((Target::File(file), None));
    }
    if path.is_dir() {
        return Err(trouble(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")));
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let pending = Pending { partial: partial.into(), path: path.to_owned() };
    let file = File::create(&pending.partial).map_err(trouble)?;
    Ok((Target::File(file), Some(pending)))
}

#[cfg(feature = "columnar")]
fn parquet(target: Target, columns: &[Column]) -> Result<Rows, Error> {
    let Target::File(file) = target else {
        return Err(Error::usage("Parquet needs a file", "name it with `--output`"));
    };
    Ok(Rows::Parquet(Box::new(super::columnar::ParquetRows::create(file, columns)?)))
}

#[cfg(not(feature = "columnar"))]
fn parquet(_: Target, _: &[Column]) -> Result<Rows, Error> {
    Err(Error::usage("this build cannot write Parquet", "build it with `--features columnar`"))
}

fn csv_row(writer: &mut csv::Writer<Target>, cells: &[Cell<'_>], safe: bool) -> io::Result<()> {
    for cell in cells {
        let plain = cell.plain();
        if safe && is_formula(cell, &plain) {
            writer.write_field(format!("'{plain}"))
        } else {
            writer.write_field(plain.as_bytes())
        }
        .map_err(into_io)?;
    }
    writer.write_record(None::<&[u8]>).map_err(into_io)
}

/// Whether a spreadsheet would take the cell for a formula; numbers are what they look like.
fn is_formula(cell: &Cell<'_>, plain: &str) -> bool {
    let is_text = match cell {
        Cell::Text(_) | Cell::Json(_) => true,
        Cell::Value(value) => matches!(value, Value::Text(_)),
        Cell::Absent | Cell::Int(_) | Cell::Bool(_) => false,
    };
    is_text && plain.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn json_row(line: &mut Vec<u8>, columns: &[Column], cells: &[Cell<'_>]) -> io::Result<()> {
    line.push(b'{');
    let mut is_first = true;
    for (column, cell) in columns.iter().zip(cells) {
        if matches!(cell, Cell::Absent) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, &column.name)?;
        line.push(b':');
        match cell {
            Cell::Absent => {}
            Cell::Text(text) => serde_json::to_writer(&mut *line, text)?,
            Cell::Int(number) => serde_json::to_writer(&mut *line, number)?,
            Cell::Bool(answer) => serde_json::to_writer(&mut *line, answer)?,
            Cell::Value(value) => serde_json::to_writer(&mut *line, value)?,
            Cell::Json(json) => line.extend_from_slice(json.as_bytes()),
        }
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}
