/// What the rating of a sample says of its class.
///
/// A reader of ratings takes any function of a number to this; here are the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rated {
    /// The sample is of this class.
    Class(u8),
    /// The sample is left out.
    Dropped,
    /// There must be no such rating; what should have been there is for the error.
    Refused(&'static str),
}

impl Rated {
    /// The rating is the class, an integer in 0..=255.
    pub fn class(rating: f64) -> Self {
        match f64::from(rating as u8) == rating {
            true => Self::Class(rating as u8),
            false => Self::Refused("a class, an integer in 0..=255"),
        }
    }

    /// Ratings from 1 to 10, as of IMDB: class 0 up to 4, class 1 from 7 on; what lies between is
    /// refused.
    pub fn stars(rating: f64) -> Self {
        match rating {
            1.0..=4.0 => Self::Class(0),
            7.0..=10.0 => Self::Class(1),
            _ => Self::Refused("a rating in 1..=4 or 7..=10"),
        }
    }

    /// Class 1 above 0, class 0 below; exactly 0 is dropped. Classes −1 and 1 are read by it too.
    pub fn sign(rating: f64) -> Self {
        match rating {
            _ if rating > 0.0 => Self::Class(1),
            _ if rating < 0.0 => Self::Class(0),
            0.0 => Self::Dropped,
            _ => Self::Refused("a rating, a number"),
        }
    }
}
