//! Records of comma-separated text (RFC 4180), and where they stand.

use std::borrow::Cow;

/// The fields of one record, without quotes and the blanks around them.
pub(crate) type Fields<'a> = Vec<Cow<'a, [u8]>>;

/// A quote that is not closed, or closed too early. Lines and columns count from 1.
pub(crate) struct BadQuote {
    pub(crate) line: u64,
    pub(crate) column: usize,
    pub(crate) expected: &'static str,
    pub(crate) found: String,
}

/// Reads one record after the other.
///
/// A library would do, but those that are in use read `"1"2` as 12, take what follows an open quote
/// for text up to the end of the file, and do not tell the line of a record after blank lines.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    /// Where `rest` starts.
    line: u64,
}

impl<'a> Records<'a> {
    /// Of UTF-8 text, with a byte order mark or without.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            line: 1,
        }
    }

    /// Reads the next record that is not a blank line, and tells the line where it starts. Lines
    /// end with LF, CRLF or CR.
    pub(crate) fn next(&mut self, fields: &mut Fields<'a>) -> Result<Option<u64>, BadQuote> {
        while !self.rest.is_empty() {
            let line = self.line;
            fields.clear();
            while !self.field(fields, line)? {}
            if fields.len() > 1 || fields.iter().any(|field| !field.is_empty()) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Reads a field and what separates it from the next; whether it was the record's last.
    fn field(&mut self, fields: &mut Fields<'a>, line: u64) -> Result<bool, BadQuote> {
        self.skip_blanks();
        let column = fields.len() + 1;
        fields.push(match self.rest.strip_prefix(b"\"") {
            Some(rest) => self.quoted(rest, line, column)?,
            None => {
                let ends = |b: &u8| matches!(b, b',' | b'\r' | b'\n');
                let end = self.rest.iter().position(ends);
                let (field, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                Cow::Borrowed(field.trim_ascii_end())
            }
        });
        match self.rest {
            [] => return Ok(true),
            [b',', rest @ ..] => {
                self.rest = rest;
                return Ok(false);
            }
            [b'\r', b'\n', rest @ ..] | [b'\r' | b'\n', rest @ ..] => self.rest = rest,
            rest => {
                return Err(BadQuote {
                    line,
                    column,
                    expected: "a comma or the end of the line after the closing quote",
                    found: quote(rest),
                });
            }
        }
        self.line += 1;
        Ok(true)
    }

    /// Reads up to the closing quote, and the blanks behind it.
    fn quoted(
        &mut self,
        rest: &'a [u8],
        line: u64,
        column: usize,
    ) -> Result<Cow<'a, [u8]>, BadQuote> {
        let (mut end, mut doubled) = (0, false);
        loop {
            let Some(length) = rest[end..].iter().position(|b| *b == b'"') else {
                return Err(BadQuote {
                    line,
                    column,
                    expected: "a closing quote",
                    found: quote(rest),
                });
            };
            end += length;
            if rest.get(end + 1) != Some(&b'"') {
                break;
            }
            doubled = true;
            end += 2;
        }
        let field = &rest[..end];
        self.line += breaks(field);
        self.rest = &rest[end + 1..];
        self.skip_blanks();
        let field = field.trim_ascii();
        if !doubled {
            return Ok(Cow::Borrowed(field));
        }
        let (mut single, mut bytes) = (Vec::with_capacity(field.len()), field.iter());
        while let Some(byte) = bytes.next() {
            single.push(*byte);
            if *byte == b'"' {
                bytes.next(); // the other of the two
            }
        }
        Ok(Cow::Owned(single))
    }

    fn skip_blanks(&mut self) {
        let blank = |b: &u8| matches!(b, b' ' | b'\t');
        let length = self.rest.iter().take_while(|b| blank(b)).count();
        self.rest = &self.rest[length..];
    }
}

/// Ends of lines in a field.
fn breaks(field: &[u8]) -> u64 {
    let alone = |pair: &&[u8]| matches!(pair, [b'\n', _] | [b'\r', 0..=9 | 11..]);
    let last = field.last().is_some_and(|b| matches!(b, b'\r' | b'\n'));
    field.windows(2).filter(alone).count() as u64 + u64::from(last)
}

/// The start of a field, fit for a message even if it is binary.
pub(crate) fn quote(field: &[u8]) -> String {
    const SHOWN: usize = 40;
    let dots = if field.len() > SHOWN { "…" } else { "" };
    let start = &field[..field.len().min(SHOWN)];
    format!("\"{}{dots}\"", start.escape_ascii())
}
