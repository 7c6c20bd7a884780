//! Which kernels OpenBLAS runs, and which it should.

/// The variable by which OpenBLAS is told, before the program starts.
pub const OPENBLAS_CORETYPE: &str = "OPENBLAS_CORETYPE";

/// The name of the kernels that OpenBLAS has chosen for this processor, such as `SkylakeX`; `None`
/// without the features `openblas` and `lapack`.
pub fn openblas_kernels() -> Option<String> {
    #[cfg(any(feature = "openblas", feature = "lapack"))]
    {
        use std::ffi::{CStr, c_char};
        unsafe extern "C" {
            fn openblas_get_corename() -> *const c_char;
        }
        // SAFETY: takes nothing, and gives a string that ends with a zero and lives as long as the
        // library, which is linked.
        let name = unsafe {
            let name = openblas_get_corename();
            (!name.is_null()).then(|| CStr::from_ptr(name))
        };
        name.map(|name| name.to_string_lossy().into_owned())
    }
    #[cfg(not(any(feature = "openblas", feature = "lapack")))]
    None
}

/// What [`OPENBLAS_CORETYPE`] should be, where these kernels are those that a build of OpenBLAS falls
/// back to because it does not know the processor: code of 2004, several times slower than what the
/// processor can. `None` where they serve.
pub fn better_kernels(kernels: &str) -> Option<&'static str> {
    let old = [
        "Generic",
        "Katmai",
        "Coppermine",
        "Northwood",
        "Prescott",
        "Banias",
        "Core2",
        "Penryn",
        "Dunnington",
        "Nehalem",
        "Atom",
        "Nano",
        "Athlon",
        "Opteron",
        "Opteron_SSE3",
        "Barcelona",
        "Bobcat",
    ];
    let known = !old.iter().any(|name| name.eq_ignore_ascii_case(kernels));
    if known {
        return None;
    }
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vl")
        {
            return Some("SkylakeX");
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return Some("Haswell");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_of_2004_have_better_ones_on_a_newer_processor() {
        for modern in [
            "SkylakeX",
            "Haswell",
            "Zen",
            "Cooperlake",
            "SapphireRapids",
            "neoversen1",
        ] {
            assert_eq!(better_kernels(modern), None);
        }
        let better = ["Prescott", "prescott", "Core2"].map(better_kernels);
        #[cfg(target_arch = "x86_64")]
        assert_eq!(better[0].is_some(), std::is_x86_feature_detected!("avx2"));
        assert!(better[0] == better[1] && better[0] == better[2]);
    }

    #[cfg(any(feature = "openblas", feature = "lapack"))]
    #[test]
    fn the_library_tells_a_name() {
        assert!(openblas_kernels().is_some_and(|name| !name.is_empty()));
    }
}
