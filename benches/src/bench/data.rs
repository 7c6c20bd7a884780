//! The data sets of the experiments.

use std::collections::BTreeMap;

use crate::experiment::Data;
use crate::mnist_dir;
use crate::train::Split;

/// The data sets, read once.
#[derive(Default)]
pub(super) struct Splits(BTreeMap<(Data, usize), Split>);

impl Splits {
    pub(super) fn get(&mut self, data: Data, validation: usize) -> Result<&Split, String> {
        use std::collections::btree_map::Entry as Place;
        let text = |e: opt_data::Error| e.to_string();
        match self.0.entry((data, validation)) {
            Place::Occupied(place) => Ok(place.into_mut()),
            Place::Vacant(place) => {
                let (rest, test) = match data {
                    Data::Mnist => {
                        let mnist = opt_data::mnist(mnist_dir()).map_err(text)?;
                        (mnist.train, mnist.test)
                    }
                    Data::Digits => opt_data::digits()
                        .and_then(|d| d.split(360, 0))
                        .map_err(text)?,
                };
                let (train, validation) = rest.split(validation, 0).map_err(text)?;
                Ok(place.insert(Split {
                    train,
                    validation,
                    test,
                }))
            }
        }
    }
}

/// For the report.
pub(super) fn describe(data: &Split) -> String {
    let count = |d: &opt_data::Dataset| d.labels.len();
    let (train, validation, test) = (
        count(&data.train),
        count(&data.validation),
        count(&data.test),
    );
    format!(
        "{}: {train} training, {validation} validation, {test} test examples",
        data.train.name
    )
}
