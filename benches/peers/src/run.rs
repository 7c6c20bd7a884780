//! The run: for each work the limit, ours and every peer that has it, in turns.

use crate::args::Args;
use crate::machine::{self, describe};
use crate::ours::{self, CHECKED, LIMIT, OURS};
use crate::python::{self, Peer};
use crate::row::{self, Row};
use crate::turns::{Figure, Runner, measure};
use crate::work::Work;
use crate::{burn, candle, table};

/// Rounds that count, of each work.
const TURNS: usize = 9;

/// Of a processor, in the mean over the run. A system has always a little to do.
const MOST_OTHERS: f64 = 0.2;

/// Measures, writes `peers.json` and gives the table.
pub(crate) fn all(args: &Args) -> Result<String, String> {
    let works = crate::work::all();
    let works: Vec<&Work> = works.iter().filter(|w| args.wants(&w.name())).collect();
    let mut bench = Bench::new(args);
    let mut busy = Vec::new();
    for work in works {
        eprintln!("{}", work.name());
        busy.extend(machine::others());
        bench.work(work)?;
    }
    bench.alone(&busy);
    let text = row::json(&bench.rows).map_err(|error| error.to_string())?;
    let file = args.out.join("peers.json");
    std::fs::create_dir_all(&args.out)
        .map_err(|error| format!("cannot make {}: {error}", args.out.display()))?;
    opt_core::write_whole(&file, text.as_bytes()).map_err(|error| error.to_string())?;
    let written = file.canonicalize().unwrap_or(file);
    let table = table::text(&bench.rows);
    Ok(format!("\n{table}\nwritten: {}\n", written.display()))
}

struct Bench {
    machine: String,
    python: Vec<Peer>,
    /// The gaps of all works first, then the rows work by work.
    rows: Vec<Row>,
}

impl Bench {
    fn new(args: &Args) -> Self {
        let mut bench = Self {
            machine: describe(),
            python: Vec::new(),
            rows: Vec::new(),
        };
        bench.gap(None, candle::NAME, candle::GAP);
        bench.gap(None, burn::NAME, burn::GAP);
        for name in python::NAMES {
            let started = args.python.as_ref().map_err(String::clone);
            // Of ours a decomposition takes one thread, as those of a network's layers run side by side.
            let threads = match name {
                python::DECOMPOSES => 1,
                _ => rayon::current_num_threads(),
            };
            match started.and_then(|p| Peer::start(name, p, threads)) {
                Ok(peer) => bench.python.push(peer),
                Err(why) => bench.gap(None, name, &why),
            }
        }
        bench
    }

    fn gap(&mut self, work: Option<&Work>, peer: &str, why: &str) {
        eprintln!("gap: {peer}: {why}");
        self.rows.push(Row {
            machine: self.machine.clone(),
            work: work.map(Work::name),
            peer: Some(peer.to_owned()),
            gap: Some(why.to_owned()),
            ..Row::default()
        });
    }

    /// Tells in every row if somebody else kept the processors busy: who has threads that wait for
    /// each other then loses more than his part, PyTorch most of all.
    fn alone(&mut self, busy: &[f64]) {
        let others = busy.iter().sum::<f64>() / busy.len().max(1) as f64;
        if others > MOST_OTHERS {
            for row in &mut self.rows {
                row.machine += &format!("; not alone: others took {others:.1} processors");
            }
        }
    }

    fn work(&mut self, work: &Work) -> Result<(), String> {
        let (figures, gaps) = figures(work, &mut self.python)?;
        for (peer, why) in gaps {
            self.gap(Some(work), &peer, &why);
        }
        let known = |name: &str| figures.iter().find(|f| f.name == name);
        let ms = |name: &str| known(name).and_then(|f| f.ms.clone().ok());
        let own = known(OURS).ok_or("nothing of ours has run")?;
        let ours = Row {
            machine: self.machine.clone(),
            work: Some(work.name()),
            ours_ms: Some(own.ms.clone()?),
            ours_checked_ms: ms(CHECKED),
            ours_how: ours::how(work),
            limit_ms: ms(LIMIT),
            ..Row::default()
        };
        let before = self.rows.len();
        for figure in &figures {
            if [LIMIT, OURS, CHECKED].contains(&figure.name.as_str()) {
                continue;
            }
            match &figure.ms {
                Ok(ms) => self.rows.push(Row {
                    peer: Some(figure.name.clone()),
                    theirs_ms: Some(*ms),
                    version: self.version(&figure.name),
                    how: figure.how.clone(),
                    ..ours.clone()
                }),
                Err(why) => self.gap(Some(work), &figure.name, why),
            }
        }
        if self.rows.len() == before {
            self.rows.push(ours);
        }
        Ok(())
    }

    fn version(&self, peer: &str) -> Option<String> {
        match self.python.iter().find(|p| p.name == peer) {
            Some(peer) => Some(peer.version.clone()),
            None if peer == candle::NAME => machine::locked("candle-core"),
            None => machine::locked(peer),
        }
    }
}

type Gaps = Vec<(String, String)>;

/// Of all who have the work. `scipy` only decomposes, and the others do all but that: that they
/// have not the rest is no gap.
fn figures(work: &Work, python: &mut [Peer]) -> Result<(Vec<Figure>, Gaps), String> {
    let mut gaps = Gaps::new();
    let mut runners = ours::runners(work)?;
    match candle::runner(work) {
        Some(Ok(runner)) => runners.push(runner),
        Some(Err(why)) => gaps.push((candle::NAME.to_owned(), why)),
        None => {}
    }
    runners.extend(burn::runner(work));
    let decomposes = matches!(work, Work::Eigh { .. });
    let mut able: Vec<&mut Peer> = (python.iter_mut())
        .filter(|peer| (peer.name == python::DECOMPOSES) == decomposes)
        .collect();
    let mut set: Vec<(&mut Peer, Option<String>)> = Vec::new();
    for peer in able.drain(..) {
        match peer.set(work) {
            Ok(how) => set.push((peer, how)),
            Err(why) => gaps.push((peer.name.to_owned(), why)),
        }
    }
    let theirs = set.iter_mut().map(|(peer, how)| peer.runner(how.take()));
    let mut all: Vec<Runner<'_>> = runners;
    all.extend(theirs);
    let figures = measure(all, TURNS);
    for (peer, _) in &mut set {
        peer.clear();
    }
    Ok((figures, gaps))
}
