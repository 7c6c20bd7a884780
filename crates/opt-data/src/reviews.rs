use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use crate::source::{Source, folder, lines};
use crate::sparse::Rows;
use crate::svmlight::rating;
use crate::{Error, Rated, SparseDataset};

/// Words that occur less often are no features.
const LEAST: usize = 2;

/// Reads text with a rating in every line, `rating<TAB>text`, plain or gzipped, as counts of words;
/// its path is what errors and the data set are called by. Also returns the words of the columns.
///
/// A word is `[a-z0-9]+('[a-z]+)?` in the lower case of ASCII; all other bytes stand between words.
/// Those that occur at least twice in the samples that `rule` does not drop (see [`Rated`]) are the
/// vocabulary: the most frequent first, of equally frequent ones by the alphabet. A text may have no
/// word of it.
///
/// # Errors
///
/// [`Error::Field`] with line and field of a rating that is no number or that `rule` refuses
/// (field 1), and without a tab (field 2); [`Error::Empty`] if no sample is left;
/// [`Error::OneClass`] if all are of one class; [`Error::Io`], [`Error::Gzip`] and, for UTF-16,
/// [`Error::Format`] if there is no such text.
pub fn read_rated_text(
    path: impl AsRef<Path>,
    rule: impl Fn(f64) -> Rated,
) -> Result<(SparseDataset, Vec<String>), Error> {
    parse(Source::open(path.as_ref())?, rule)
}

/// [`read_rated_text`] from any reader; `name` is what errors and the data set are called by.
///
/// ```
/// use opt_data::{Rated, read_rated_text_from};
///
/// let text = "3.5\tIt's good, and good is rare.\n-2\tIt's rare to be so bad.\n";
/// let (data, words) = read_rated_text_from(text.as_bytes(), "two", Rated::sign)?;
/// assert_eq!(words, ["good", "it's", "rare"]);
/// assert_eq!(data.inputs.to_dense(), ndarray::array![[2.0, 1.0, 1.0], [0.0, 1.0, 1.0]]);
/// assert_eq!(data.labels, [1, 0]);
/// # Ok::<(), opt_data::Error>(())
/// ```
///
/// # Errors
///
/// As [`read_rated_text`].
pub fn read_rated_text_from(
    reader: impl Read,
    name: &str,
    rule: impl Fn(f64) -> Rated,
) -> Result<(SparseDataset, Vec<String>), Error> {
    parse(Source::new(reader, name.to_owned())?, rule)
}

/// Reads sentences of film reviews from a folder, as counts of words, and splits them at random into
/// `(training, test)`, with `test` samples for the test: class 1 above a rating of 0, class 0 below.
///
/// Sentences: B. Pang and L. Lee, A Sentimental Education (ACL 2004); the mean of 20 people's
/// ratings from −4 to 4: C. J. Hutto and E. Gilbert, VADER (ICWSM 2014). Of 10,605 sentences 5,242
/// are of class 1, 5,326 of class 0, and 37 with a rating of exactly 0 are dropped. `dir` holds
/// `movie-snippets.tsv`, with or without `.gz`, itself or in a folder `reviews`. The vocabulary is
/// that of all sentences, as it needs no label: see [`read_rated_text`].
///
/// # Errors
///
/// [`Error::Missing`] if the file is not there, [`Error::Split`] unless `test` is less than the
/// number of samples, and those of [`read_rated_text`].
pub fn reviews(
    dir: impl AsRef<Path>,
    test: usize,
    seed: u64,
) -> Result<(SparseDataset, SparseDataset), Error> {
    let dir = folder(dir.as_ref(), &["reviews"]);
    let source = Source::in_folder(&dir, "movie-snippets.tsv")?;
    let (data, _) = parse(source, Rated::sign)?;
    let (mut train, mut test) = data.split(test, seed)?;
    train.name = "reviews-train".to_owned();
    test.name = "reviews-test".to_owned();
    Ok((train, test))
}

fn parse(
    mut source: Source<'_>,
    rule: impl Fn(f64) -> Rated,
) -> Result<(SparseDataset, Vec<String>), Error> {
    let mut text = source.text()?;
    text.make_ascii_lowercase();
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for (line, text) in lines(&text) {
        let tab = text.iter().position(|byte| *byte == b'\t');
        let field = text[..tab.unwrap_or(text.len())].trim_ascii();
        let label = rating(field, &rule).map_err(|e| source.field(line, 1, e, field))?;
        let Some(tab) = tab else {
            return Err(source.field(line, 2, "a tab and a text after the rating", b""));
        };
        if let Some(label) = label {
            texts.push(&text[tab + 1..]);
            labels.push(label);
        }
    }
    let vocabulary = vocabulary(&texts);
    let places: HashMap<&[u8], u32> = vocabulary.iter().copied().zip(0..).collect();
    let (mut rows, mut counts) = (Rows::default(), BTreeMap::new());
    for text in texts {
        for place in words(text).filter_map(|word| places.get(word)) {
            *counts.entry(*place).or_insert(0.0) += 1.0;
        }
        while let Some((place, count)) = counts.pop_first() {
            rows.push(place, count);
        }
        rows.end_row();
    }
    let data = SparseDataset::new(rows.matrix(vocabulary.len())?, labels, &source.file)?;
    let names = vocabulary.iter().map(|word| String::from_utf8_lossy(word));
    Ok((data, names.map(String::from).collect()))
}

/// All words that occur often enough, in the order of their columns.
fn vocabulary<'a>(texts: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let mut totals = HashMap::<&[u8], usize>::new();
    for word in texts.iter().flat_map(|text| words(text)) {
        *totals.entry(word).or_default() += 1;
    }
    let mut totals: Vec<_> = totals.into_iter().filter(|(_, n)| *n >= LEAST).collect();
    totals.sort_unstable_by(|(word, n), (other, m)| m.cmp(n).then(word.cmp(other)));
    totals.into_iter().map(|(word, _)| word).collect()
}

/// The words of a text in lower case.
fn words(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    std::iter::from_fn(move || {
        let start = text.iter().position(plain)?;
        text = &text[start..];
        let mut end = length(text, plain);
        if text.get(end) == Some(&b'\'') {
            match length(&text[end + 1..], u8::is_ascii_lowercase) {
                0 => {}
                letters => end += 1 + letters,
            }
        }
        let (word, rest) = text.split_at(end);
        text = rest;
        Some(word)
    })
}

/// Bytes at the start of which this is true.
fn length(text: &[u8], of: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| of(byte)).count()
}
