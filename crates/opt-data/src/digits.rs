use crate::{Column, Dataset, Error, Header, Table};

/// The 8×8 digits: 1,797 images of 64 pixels in 0..=1, ten classes.
///
/// E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (UCI Machine Learning
/// Repository, 1998), licensed under CC BY 4.0. This is the test part of that data set, in the
/// selection and order in which scikit-learn's `load_digits` has it. A pixel counts the dark points
/// of a 4×4 block, 0 to 16, and is divided by 16 here.
///
/// # Errors
///
/// None with the bundled file; a damaged copy would show as the errors of
/// [`Table::classes`].
pub fn digits() -> Result<Dataset, Error> {
    let file: &[u8] = include_bytes!("../data/digits.csv.gz");
    let mut data = Table::read(file, "digits.csv.gz", Header::Absent)?.classes(Column::Last)?;
    data.inputs /= 16.0;
    data.name = "digits".to_owned();
    Ok(data)
}
