//! Sums over ranks against one process that makes the same ones.

use opt_core::{Error, FirstOrder, Method, Objective, ParamMap, PerSample, Scalar, Train};
use opt_firstorder::Adam;
use opt_mpi::{AllReduced, Element, Ranks};
use opt_nn::Mlp;
use opt_secondorder::{Lbfgs, Scg};

use crate::Outcome;
use crate::model::{ROWS, loaded, mine, same_bits, spec, start};

/// The parts of all ranks in one process, summed in their order and in double precision.
struct Parts<F>(Vec<Mlp<F>>);

impl<F: Scalar> Parts<F> {
    fn new(ranks: &Ranks) -> Self {
        let size = ranks.size();
        // As `Ranks::part` deals them.
        let part = |rank: usize| {
            let start = |rank: usize| ROWS / size * rank + rank.min(ROWS % size);
            start(rank)..start(rank + 1)
        };
        assert_eq!(part(ranks.rank()), ranks.part(ROWS));
        Self((0..size).map(|rank| loaded(spec(), part(rank))).collect())
    }
}

impl<F: Scalar> Objective<F> for Parts<F> {
    fn params(&self) -> &ParamMap {
        self.0[0].params()
    }

    fn value(&mut self, x: &[F]) -> Result<F, Error> {
        let mut loss = 0.0;
        for part in &mut self.0 {
            let weight = PerSample::samples(part) as f64 / ROWS as f64;
            loss += weight * part.value(x)?.f64();
        }
        Ok(F::of(loss))
    }

    fn grad(&mut self, x: &[F], g: &mut [F]) -> Result<F, Error> {
        let (mut loss, mut sums) = (0.0, vec![0.0; g.len()]);
        for part in &mut self.0 {
            let weight = PerSample::samples(part) as f64 / ROWS as f64;
            loss += weight * part.grad(x, g)?.f64();
            sums.iter_mut()
                .zip(&*g)
                .for_each(|(sum, g)| *sum += weight * g.f64());
        }
        g.iter_mut().zip(sums).for_each(|(g, sum)| *g = F::of(sum));
        Ok(F::of(loss))
    }
}

fn train<F: Element>(ranks: &Ranks) -> Outcome {
    let (mut all, mut parts) = (AllReduced::new(mine::<F>(ranks), ranks), Parts::new(ranks));
    let x = start::<F>();
    let (mut g, mut expected) = (vec![F::zero(); x.len()], vec![F::zero(); x.len()]);
    let losses = [all.grad(&x, &mut g)?, parts.grad(&x, &mut expected)?];
    same_bits("gradient", &g, &expected);
    same_bits("losses", &losses[..1], &losses[1..]);
    let values = [all.value(&x)?, parts.value(&x)?];
    same_bits("values", &values[..1], &values[1..]);
    assert_eq!(PerSample::samples(&all), ROWS);

    let params = all.params().clone();
    let adam = || Ok::<_, Error>(Train::new(FirstOrder::new(Adam::default(), &params)?));
    steps("adam", (adam()?, adam()?), (&mut all, &mut parts))?;
    let scg = || Scg::default().method(&params);
    steps("scg", (scg()?, scg()?), (&mut all, &mut parts))?;
    let lbfgs = || Lbfgs::default().method(&params);
    steps("lbfgs", (lbfgs()?, lbfgs()?), (&mut all, &mut parts))
}

fn steps<F: Element, M>(
    name: &str,
    (mut there, mut here): (M, M),
    (all, parts): (&mut AllReduced<Mlp<F>, F>, &mut Parts<F>),
) -> Outcome
where
    M: Method<F, AllReduced<Mlp<F>, F>> + Method<F, Parts<F>>,
{
    let (mut x, mut y) = (start::<F>(), start::<F>());
    for _ in 0..8 {
        there.step(all, &mut x)?;
        here.step(parts, &mut y)?;
    }
    same_bits(name, &x, &y);
    Ok(())
}

pub(crate) fn check(ranks: &Ranks) -> Outcome {
    train::<f32>(ranks)?;
    train::<f64>(ranks)?;
    large(ranks)
}

/// A vector of more than one block, whose parts are not equal.
fn large(ranks: &Ranks) -> Outcome {
    struct Wave(ParamMap, usize);
    impl Objective<f32> for Wave {
        fn params(&self) -> &ParamMap {
            &self.0
        }

        fn value(&mut self, _: &[f32]) -> Result<f32, Error> {
            Ok(self.1 as f32)
        }

        fn grad(&mut self, x: &[f32], g: &mut [f32]) -> Result<f32, Error> {
            let wave = |i: usize| ((i + 3 * self.1) as f32 * 0.37).sin();
            g.iter_mut().enumerate().for_each(|(i, g)| *g = wave(i));
            self.value(x)
        }
    }
    let len = (1 << 20) + 12_345;
    let x = vec![0.0_f32; len];
    let wave = |rank| Ok::<_, Error>(Wave(ParamMap::flat(len)?, rank));
    let mut all = AllReduced::weighted(wave(ranks.rank())?, ranks, |wave| wave.1 + 1);
    let (mut g, mut sums) = (x.clone(), vec![0.0_f64; len]);
    let loss = all.grad(&x, &mut g)?;
    let total = (1..=ranks.size()).sum::<usize>() as f64;
    let (mut part, mut expected) = (x.clone(), 0.0);
    for rank in 0..ranks.size() {
        let weight = (rank + 1) as f64 / total;
        expected += weight * f64::from(wave(rank)?.grad(&x, &mut part)?);
        sums.iter_mut()
            .zip(&part)
            .for_each(|(sum, g)| *sum += weight * f64::from(*g));
    }
    let sums: Vec<f32> = sums.iter().map(|sum| *sum as f32).collect();
    same_bits("a large gradient", &g, &sums);
    same_bits("its loss", &[loss], &[expected as f32]);
    let (sent, size) = (ranks.traffic().bytes, ranks.size());
    let least = 2 * 4 * len * (size - 1) / size;
    assert!(sent as usize >= least, "{sent} bytes, at least {least}");
    Ok(())
}
