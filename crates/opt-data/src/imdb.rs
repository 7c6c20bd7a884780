use std::path::Path;

use crate::source::{Source, folder, lines};
use crate::{Error, FirstIndex, Rated, SparseDataset, Svmlight};

/// Reads the Large Movie Review Dataset from a folder: `(training, test)`, word counts of 25,000
/// reviews each, class 1 for 7 to 10 stars and class 0 for 1 to 4.
///
/// A. L. Maas, R. E. Daly, P. T. Pham, D. Huang, A. Y. Ng and C. Potts, Learning Word Vectors for
/// Sentiment Analysis (ACL 2011). `dir` is the folder `aclImdb` as it was published (or called
/// `imdb`), or the one that it is in. It holds `train/labeledBow.feat` and `test/labeledBow.feat`,
/// and `imdb.vocab`, a word a line, which tells the number of columns; each with or without `.gz`.
/// Column i is word i of the vocabulary, counted from 0. Sizes are not checked, as there is more
/// than one tokenizer.
///
/// # Errors
///
/// [`Error::Missing`] for a file that is not there, [`Error::Empty`] for a vocabulary without words,
/// and those of [`Svmlight::read`].
pub fn imdb(dir: impl AsRef<Path>) -> Result<(SparseDataset, SparseDataset), Error> {
    let dir = folder(dir.as_ref(), &["imdb", "aclImdb"]);
    let mut vocabulary = Source::in_folder(&dir, "imdb.vocab")?;
    let columns = lines(&vocabulary.text()?).count();
    if columns == 0 {
        return Err(Error::Empty {
            what: vocabulary.file,
        });
    }
    let layout = Svmlight {
        columns,
        first: FirstIndex::Zero,
    };
    let part = |part: &str| {
        let source = Source::in_folder(&dir.join(part), "labeledBow.feat")?;
        let mut data = layout.parse(source, Rated::stars)?;
        data.name = format!("imdb-{part}");
        Ok(data)
    };
    Ok((part("train")?, part("test")?))
}
