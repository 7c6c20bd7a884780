//! Everyone in turns, so that what the machine does beside us meets all alike.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// One repetition of a work, in milliseconds for one step or update of it.
pub(crate) type Repeat<'a> = Box<dyn FnMut() -> Result<f64, String> + 'a>;

/// Whoever does the work: the limit, ours, or a peer.
pub(crate) struct Runner<'a> {
    pub(crate) name: String,
    /// By which way, if there are several.
    pub(crate) how: Option<String>,
    pub(crate) repeat: Repeat<'a>,
}

/// The median in milliseconds, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) how: Option<String>,
    pub(crate) ms: Result<f64, String>,
}

/// Between two turns. A pool of threads that spins for a while when its work is done would take
/// the processor from whoever comes next.
const PAUSE: Duration = Duration::from_millis(20);

/// `turns` rounds after one that does not count. Who fails once is left out from then on.
pub(crate) fn measure(runners: Vec<Runner<'_>>, turns: usize) -> Vec<Figure> {
    let mut times = vec![Ok(Vec::new()); runners.len()];
    let mut runners = runners;
    for turn in 0..=turns {
        for (runner, times) in runners.iter_mut().zip(&mut times) {
            let Ok(known) = times else { continue };
            sleep(PAUSE);
            match (runner.repeat)() {
                Ok(ms) if turn > 0 => known.push(ms),
                Ok(_) => {}
                Err(why) => *times = Err(why),
            }
        }
    }
    let named = runners.into_iter().zip(times);
    named
        .map(|(runner, times)| Figure {
            name: runner.name,
            how: runner.how,
            ms: times.and_then(|times| median(times).ok_or_else(|| "no turns".to_owned())),
        })
        .collect()
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// How long `count` calls take, in milliseconds a call.
pub(crate) fn timed<E: ToString>(
    count: usize,
    mut call: impl FnMut() -> Result<(), E>,
) -> Result<f64, String> {
    let begin = Instant::now();
    for _ in 0..count {
        call().map_err(|error| error.to_string())?;
    }
    Ok(1e3 * begin.elapsed().as_secs_f64() / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_alternate_and_the_first_does_not_count() {
        let order = std::cell::RefCell::new(Vec::new());
        let runner = |name: &str, fails: bool| {
            let (order, name) = (&order, name.to_owned());
            let (mut calls, own) = (0.0, name.clone());
            Runner {
                name,
                how: None,
                repeat: Box::new(move || {
                    calls += 1.0;
                    order.borrow_mut().push(own.clone());
                    if fails { Err("gone".into()) } else { Ok(calls) }
                }),
            }
        };
        let figures = measure(
            vec![runner("a", false), runner("b", true), runner("c", false)],
            3,
        );
        let medians: Vec<_> = figures.into_iter().map(|f| f.ms).collect();
        assert_eq!(medians, [Ok(3.0), Err("gone".into()), Ok(3.0)]);
        assert_eq!(order.borrow().concat(), "abcacacac");
    }
}
