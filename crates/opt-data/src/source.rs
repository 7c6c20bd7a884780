//! Opening a file or a reader, plain or gzipped.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::Error;
use crate::csv::quote;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Uncompressed bytes, with the name that errors give.
pub(crate) struct Source<'a> {
    pub(crate) file: String,
    pub(crate) reader: Box<dyn Read + 'a>,
    gzip: bool,
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &Path) -> Result<Source<'static>, Error> {
        let file = path.display().to_string();
        match File::open(path) {
            Ok(reader) => Source::new(BufReader::new(reader), file),
            Err(source) => Err(Error::Io { file, source }),
        }
    }

    /// Opens `name` in a folder, or `name.gz` if there is none.
    pub(crate) fn in_folder(dir: &Path, name: &str) -> Result<Source<'static>, Error> {
        for name in [name.to_owned(), format!("{name}.gz")] {
            match Source::open(&dir.join(name)) {
                Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                opened => return opened,
            }
        }
        Err(Error::Missing {
            dir: dir.display().to_string(),
            file: name.to_owned(),
        })
    }

    /// Tells gzip by its first two bytes, because names lie.
    pub(crate) fn new(mut reader: impl Read + 'a, file: String) -> Result<Self, Error> {
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        if let Err(source) = reader.by_ref().take(2).read_to_end(&mut head) {
            return Err(Error::Io { file, source });
        }
        let gzip = head == GZIP_MAGIC;
        let whole = io::Cursor::new(head).chain(reader);
        let reader: Box<dyn Read + 'a> = if gzip {
            // The multi-member decoder, as it refuses bytes after the end of the stream.
            Box::new(MultiGzDecoder::new(whole))
        } else {
            Box::new(whole)
        };
        Ok(Self { file, reader, gzip })
    }

    /// All bytes, or the first `limit` of them.
    pub(crate) fn read_up_to(&mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match self.reader.by_ref().take(limit).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) => Err(self.error(source)),
        }
    }

    /// All bytes, of text that is not UTF-16.
    pub(crate) fn text(&mut self) -> Result<Vec<u8>, Error> {
        let text = self.read_up_to(u64::MAX)?;
        if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
            return Err(self.format("text in UTF-8", "the byte order mark of UTF-16"));
        }
        Ok(text)
    }

    /// The decoder's errors carry no code of the operating system, and are of these kinds; a want of
    /// memory, or of a caller's reader, is no damage.
    fn error(&self, source: io::Error) -> Error {
        let file = self.file.clone();
        let damage = matches!(
            source.kind(),
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof
        );
        if self.gzip && damage && source.raw_os_error().is_none() {
            Error::Gzip { file, source }
        } else {
            Error::Io { file, source }
        }
    }

    pub(crate) fn format(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Format {
            file: self.file.clone(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// Lines and columns count from 1.
    pub(crate) fn field(
        &self,
        line: u64,
        column: usize,
        expected: impl Into<String>,
        found: &[u8],
    ) -> Error {
        Error::Field {
            file: self.file.clone(),
            line,
            column,
            expected: expected.into(),
            found: quote(found),
        }
    }
}

/// The first of these folders in `dir` that is there, or `dir` itself.
pub(crate) fn folder(dir: &Path, names: &[&str]) -> PathBuf {
    let mut folders = names.iter().map(|name| dir.join(name));
    folders
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| dir.to_owned())
}

/// The lines of a text without what ends them, LF or CRLF, counted from 1. Blank lines are left out,
/// a byte order mark too.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    (1..)
        .zip(text.split(|byte| *byte == b'\n'))
        .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
}
