//! Keys of images and of texts that do not go together.

use super::{WHOLE, fault};

#[test]
fn maps_that_cannot_be_are_refused() {
    let images = WHOLE[7];
    for (right, wrong, word) in [
        ("channels = 2", "channels = 0", "model.maps.channels"),
        ("kernel = 5", "kernel = -1", "model.maps.kernel"),
        ("kernel = 5", "kernel = 28", "kernel of layer0"),
        ("kernel = 5", "kernel = \"x\"", "model.maps.kernel"),
        ("kernel = 5, ", "", "kernel"),
        ("stride = 2,", "stride = 0,", "model.maps.stride"),
        ("padding = 1", "padding = 1.5", "model.maps.padding"),
        ("padding = 1", "padding = 5", "padding"),
        ("pool = 3", "pool = 0", "model.maps.pool"),
        ("pool = 3", "pool = 28", "pool of layer0"),
        (
            "pool_stride = 2",
            "pool_stride = 0",
            "model.maps.pool_stride",
        ),
        ("average = true", "average = 1", "model.maps.average"),
        ("average", "averge", "averge"),
        ("crop = 24", "crop = 0", "crop"),
        ("crop = 24", "crop = 4", "pool of layer0"),
        ("\"cifar10\"", "\"digits\"", "crop"),
        ("\"cifar10\"", "\"imdb\"", "words"),
        ("crop = 24", "words = 10", "words"),
    ] {
        assert!(images.contains(right), "{right}");
        let told = fault("maps", &images.replacen(right, wrong, 1));
        let told = told.unwrap_or_else(|| panic!("{wrong} is accepted"));
        assert!(told.contains(word), "{wrong}: {told}");
    }
    let texts = WHOLE[8];
    for (right, wrong, word) in [
        ("words = 10", "words = 0", "words"),
        ("words = 10", "crop = 10", "words"),
        ("words = 10", "words = 10\ninputs = \"whitened\"", "inputs"),
        ("words = 10", "words = 10\ncrop = 10", "crop"),
        (
            "model.hidden",
            "model.maps = [{ channels = 2, kernel = 1 }]\nmodel.hidden",
            "model.maps",
        ),
    ] {
        let told = fault("texts", &texts.replacen(right, wrong, 1));
        let told = told.unwrap_or_else(|| panic!("{wrong} is accepted"));
        assert!(told.contains(word), "{wrong}: {told}");
    }
}
