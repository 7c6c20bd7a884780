//! Who decomposes matrices: LAPACK where there is an OpenBLAS, pure Rust elsewhere.

use crate::setup;

/// The variable that chooses instead of us.
const VARIABLE: &str = "OPT_BACKEND";

/// A feature of opt-linalg, opt-natural and opt-bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Lapack,
    Faer,
}

impl Backend {
    /// What `OPT_BACKEND` says; else LAPACK, if OpenBLAS is there or installs without a question,
    /// and pure Rust, with a line that tells so, if not.
    pub(crate) fn choose() -> Result<Self, String> {
        match std::env::var(VARIABLE).ok() {
            None => Ok(setup::ensure().map_or_else(
                |missing| {
                    eprintln!("xtask: decompositions in pure Rust (faer), since {missing}");
                    Self::Faer
                },
                |()| Self::Lapack,
            )),
            Some(name) => {
                let named = Self::named(&name)?;
                if named == Self::Lapack {
                    setup::ensure()?;
                }
                Ok(named)
            }
        }
    }

    fn named(name: &str) -> Result<Self, String> {
        match name {
            "lapack" => Ok(Self::Lapack),
            "faer" => Ok(Self::Faer),
            _ => Err(format!("{VARIABLE} = `{name}`: must be `lapack` or `faer`")),
        }
    }

    /// For cargo, of a package whose default is LAPACK.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Lapack => &[],
            Self::Faer => &["--no-default-features", "--features=faer"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_and_no_other() {
        assert_eq!(Backend::named("lapack"), Ok(Backend::Lapack));
        assert_eq!(Backend::named("faer"), Ok(Backend::Faer));
        for name in ["", "Faer", "mkl"] {
            assert!(Backend::named(name).is_err_and(|message| message.contains(VARIABLE)));
        }
    }
}
