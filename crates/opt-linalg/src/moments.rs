use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, Zip, s};
use opt_core::{Bound, Scalar, State, Visit, dot};

use crate::Error;
use crate::symmetric::{gram, mirror, zeros};

/// Rows that are centred at a time: enough for a product at full speed, few enough that the copy
/// stays small beside a matrix of statistics.
const CHUNK: usize = 1024;

/// Mean and covariance of vectors that come in batches, as of all of them at once.
///
/// Over N vectors x: μ = Σ x/N and Σ = Σ (x − μ)(x − μ)ᵀ/N: divided by N, not N − 1. A batch is
/// centred at its own mean before it is squared, and the two means' difference is accounted for
/// exactly (Chan, Golub, LeVeque, 1979), so that a mean far from zero costs no digits.
///
/// [`discount`](Self::discount) makes an exponential average of it.
///
/// ```
/// use ndarray::array;
///
/// let mut moments = opt_linalg::Moments::new(2);
/// moments.update(array![[1.0, 0.0], [3.0, 0.0]].view())?;
/// moments.update(array![[1.0, 4.0], [3.0, 4.0]].view())?;
/// assert_eq!(moments.mean(), array![2.0, 2.0]);
/// assert_eq!(moments.covariance(), array![[1.0, 0.0], [0.0, 4.0]]);
/// # Ok::<(), opt_linalg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Moments<F> {
    width: usize,
    count: f64,
    mean: Array1<F>,
    lower: Array2<F>,
    centred: Array2<F>,
    /// Of the batch.
    sums: Vec<f64>,
    fresh: Array1<F>,
    shift: Array1<F>,
}

impl<F: Scalar> Moments<F> {
    /// No samples yet, of vectors of this width. One whose covariance does not fit into memory is
    /// refused by the first [`update`](Self::update).
    pub fn new(width: usize) -> Self {
        let lower = zeros(width).unwrap_or_default();
        Self {
            width,
            count: 0.0,
            mean: Array1::zeros(lower.nrows()),
            centred: Array2::zeros((0, lower.nrows())),
            sums: vec![0.0; lower.nrows()],
            fresh: Array1::zeros(lower.nrows()),
            shift: Array1::zeros(lower.nrows()),
            lower,
        }
    }

    /// Makes these the other moments, without an allocation.
    ///
    /// # Errors
    /// [`Error::Width`] if those are of another width; then nothing has changed.
    pub fn assign(&mut self, other: &Self) -> Result<(), Error> {
        self.check_width("moments", other.mean.len())?;
        self.count = other.count;
        self.mean.assign(&other.mean);
        self.lower.assign(&other.lower);
        Ok(())
    }

    /// Samples seen, each times the discounts that came after it.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// How long the vectors are.
    pub fn width(&self) -> usize {
        self.width
    }

    /// μ, of shape (width). Zero before the first sample.
    pub fn mean(&self) -> ArrayView1<'_, F> {
        self.mean.view()
    }

    /// Σ in the lower triangle and on the diagonal, of shape (width, width), as the matrix
    /// decompositions of this crate read it. What is above the diagonal means nothing.
    pub fn lower(&self) -> ArrayView2<'_, F> {
        self.lower.view()
    }

    /// As [`lower`](Self::lower), to be overwritten: by the sum of the parts of a [union](Self::part_of).
    pub fn lower_mut(&mut self) -> ArrayViewMut2<'_, F> {
        self.lower.view_mut()
    }

    /// Makes of these moments what their N vectors bring to those of a union, of `count` vectors with
    /// this mean, where the others are elsewhere: N/count·(Σ + (μ − mean)(μ − mean)ᵀ). The sum over all
    /// parts is the covariance of the union.
    ///
    /// # Errors
    /// [`Error::Width`] for a mean of another length, and [`Error::Core`] unless there are as many
    /// vectors in the union, or more; then nothing has changed.
    pub fn part_of(&mut self, count: f64, mean: ArrayView1<'_, F>) -> Result<(), Error> {
        self.check_width("mean", mean.len())?;
        let share = self.count / count;
        if !(0.0..=1.0).contains(&share) {
            let (name, value) = ("count", count);
            return Err(Error::Core(opt_core::Error::Argument { name, value }));
        }
        Zip::from(&mut self.shift)
            .and(&self.mean)
            .and(&mean)
            .for_each(|shift, &own, &all| *shift = own - all);
        self.blend(share, share, None);
        self.mean.assign(&mean);
        self.count = count;
        Ok(())
    }

    /// Adds the vectors that other moments are of.
    ///
    /// # Errors
    /// [`Error::Width`] if those are of another width, [`Error::Overflow`] if the sum does not fit into the
    /// type. Then nothing has changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.check_width("moments", other.mean.len())?;
        let count = self.count + other.count;
        if other.count <= 0.0 {
            return Ok(());
        }
        let p = other.count / count;
        Zip::from(&mut self.shift)
            .and(&other.mean)
            .and(&self.mean)
            .for_each(|shift, &new, &old| *shift = new - old);
        // The diagonal bounds the rest.
        let diagonal = self.lower.diag().into_iter().zip(other.lower.diag());
        let mut all = diagonal.zip(&self.shift);
        let fits = all.all(|((old, new), shift)| {
            let between = p * (1.0 - p) * shift.f64() * shift.f64();
            F::of(2.0 * ((1.0 - p) * old.f64() + p * new.f64() + between)).is_finite()
        });
        if !fits {
            return Err(Error::Overflow {
                what: "the covariance",
            });
        }
        self.blend(1.0 - p, p * (1.0 - p), Some((p, &other.lower)));
        let p = F::of(p);
        Zip::from(&mut self.mean)
            .and(&self.shift)
            .for_each(|mean, &shift| *mean += p * shift);
        self.count = count;
        Ok(())
    }

    /// Σ, of shape (width, width), exactly symmetric.
    pub fn covariance(&self) -> Array2<F> {
        let mut full = self.lower.clone();
        mirror(full.view_mut());
        full
    }

    /// Lets every sample so far count `factor` times as much: 0 forgets them, and a fixed factor
    /// before each batch makes an exponential average whose weights add up to 1 from the first
    /// batch on.
    ///
    /// # Errors
    /// [`Error::Core`] unless the factor is in [0, 1].
    pub fn discount(&mut self, factor: f64) -> Result<(), Error> {
        if factor != 0.0 {
            opt_core::Error::bounded("factor", factor, Bound::Shrink)?;
        } else {
            // Else what was forgotten would decide how the next mean is rounded.
            self.mean.fill(F::zero());
        }
        self.count *= factor;
        Ok(())
    }

    /// Adds the rows of a batch of shape (rows, width).
    ///
    /// # Errors
    /// [`Error::Width`], [`Error::TooLarge`], [`Error::NoSamples`], [`Error::NonFinite`], or
    /// [`Error::Overflow`] if the squares of its elements don't fit into the type. Then nothing has
    /// changed.
    pub fn update(&mut self, batch: ArrayView2<'_, F>) -> Result<(), Error> {
        let (rows, width) = batch.dim();
        if width != self.width {
            return Err(Error::Width {
                what: "batch",
                expected: self.width,
                found: width,
            });
        }
        if self.mean.len() != width {
            return Err(Error::TooLarge { order: width });
        }
        if rows == 0 {
            return Err(Error::NoSamples);
        }
        let squares = column_sums(&batch, &mut self.sums)?;
        for (mean, sum) in self.fresh.iter_mut().zip(&self.sums) {
            *mean = F::of(sum / rows as f64);
        }
        // Of two sets of samples, the second having the share p of the weight:
        // Σ = (1−p)Σ₁ + pΣ₂ + p(1−p)δδᵀ, where δ = μ₂ − μ₁. So √(rows·(1−p))·δ is one more row.
        let p = rows as f64 / (self.count + rows as f64);
        let weight = F::of((rows as f64 * (1.0 - p)).sqrt());
        Zip::from(&mut self.shift)
            .and(&self.fresh)
            .and(&self.mean)
            .for_each(|shift, &new, &old| *shift = weight * (new - old));
        let between = self.shift.as_slice().map_or(0.0, |shift| dot(shift, shift));
        // No element of the sum of outer products is larger than the sum of all squares.
        if !F::of(squares + between).is_finite() {
            return Err(Error::Overflow {
                what: "the covariance",
            });
        }
        self.accumulate(&batch, p)?;
        let p = F::of(p);
        Zip::from(&mut self.mean)
            .and(&self.fresh)
            .for_each(|old, &new| *old += p * (new - *old));
        self.count += rows as f64;
        Ok(())
    }

    fn check_width(&self, what: &'static str, found: usize) -> Result<(), Error> {
        if found == self.mean.len() {
            return Ok(());
        }
        let expected = self.width;
        Err(Error::Width {
            what,
            expected,
            found,
        })
    }

    /// Σ ← keep·Σ + between·shift·shiftᵀ + p·other, in the lower triangle. Without a share of it Σ may be
    /// anything.
    fn blend(&mut self, keep: f64, between: f64, other: Option<(f64, &Array2<F>)>) {
        let (keep, between) = (F::of(keep), F::of(between));
        for (i, mut row) in self.lower.rows_mut().into_iter().enumerate() {
            let row = row.iter_mut().take(i + 1).enumerate();
            let scaled = between * self.shift[i];
            row.for_each(|(j, v)| {
                let own = if keep.is_zero() { F::zero() } else { keep * *v };
                let theirs = other.map_or(F::zero(), |(p, other)| F::of(p) * other[[i, j]]);
                *v = own + scaled * self.shift[j] + theirs;
            });
        }
    }

    /// Σ ← (1−p)·Σ + p/rows·(Σ (x − mean)(x − mean)ᵀ + shift·shiftᵀ), in the lower triangle, with
    /// the mean of the batch.
    fn accumulate(&mut self, batch: &ArrayView2<'_, F>, p: f64) -> Result<(), Error> {
        let (rows, width) = batch.dim();
        let needed = rows.min(CHUNK) + 1;
        if self.centred.nrows() < needed {
            self.centred = Array2::zeros((needed, width));
        }
        let alpha = F::of(p / rows as f64);
        for (index, chunk) in batch.axis_chunks_iter(Axis(0), CHUNK).enumerate() {
            let rows = chunk.nrows();
            let mut centred = self.centred.slice_mut(s![..rows, ..]);
            for (mut out, x) in centred.rows_mut().into_iter().zip(chunk.rows()) {
                Zip::from(&mut out)
                    .and(x)
                    .and(&self.fresh)
                    .for_each(|out, &x, &mean| *out = x - mean);
            }
            let (beta, last) = if index == 0 {
                self.centred.row_mut(rows).assign(&self.shift);
                (F::of(1.0 - p), rows + 1)
            } else {
                (F::one(), rows)
            };
            let centred = self.centred.slice(s![..last, ..]);
            gram(alpha, centred, beta, self.lower.view_mut())?;
        }
        Ok(())
    }
}

impl<F: Scalar> State<F> for Moments<F> {
    fn visit(&mut self, visitor: &mut dyn Visit<F>) {
        visitor.number("count", &mut self.count);
        let width = self.mean.len();
        if let Some(mean) = self.mean.as_slice_mut() {
            visitor.buffer("mean", &[width], mean);
        }
        if let Some(lower) = self.lower.as_slice_mut() {
            visitor.buffer("covariance", &[width, width], lower);
        }
    }
}

/// Sum of every column, over `sums`, and that of the squares of all elements, in one pass.
fn column_sums<F: Scalar>(batch: &ArrayView2<'_, F>, sums: &mut [f64]) -> Result<f64, Error> {
    let mut squares = 0.0;
    sums.fill(0.0);
    for (row, x) in batch.rows().into_iter().enumerate() {
        squares += match x.as_slice() {
            Some(x) => {
                (sums.iter_mut().zip(x)).for_each(|(sum, v)| *sum += v.f64());
                dot(x, x)
            }
            None => {
                (sums.iter_mut().zip(&x)).for_each(|(sum, v)| *sum += v.f64());
                x.iter().map(|v| v.f64() * v.f64()).sum()
            }
        };
        if !squares.is_finite() {
            return Err(match x.iter().all(|v| v.is_finite()) {
                true => Error::Overflow {
                    what: "the covariance",
                },
                false => Error::non_finite("batch", row, x.iter()),
            });
        }
    }
    Ok(squares)
}
