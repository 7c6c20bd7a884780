//! Links if OpenBLAS is there with its CBLAS interface, which ndarray calls. Never run.

unsafe extern "C" {
    fn cblas_dgemm();
}

fn main() {
    // SAFETY: never run; only the linker reads this.
    unsafe { cblas_dgemm() }
}
