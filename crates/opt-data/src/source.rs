//! Opening a file or a reader, plain or gzipped.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::Error;

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
}
