//! What was measured, and what it comes to on more machines, on paper.

use std::fmt::Write;

/// Of one experiment, on the ranks of one machine.
pub(crate) struct Measured {
    pub(crate) ranks: usize,
    pub(crate) parameters: usize,
    /// Samples of all ranks together.
    pub(crate) batch: usize,
    pub(crate) updates: u64,
    /// Seconds of an update in one process, on all cores.
    pub(crate) alone: f64,
    /// The same on the ranks, which share the cores.
    pub(crate) together: f64,
    /// Of these inside of MPI: sending, and waiting for other ranks.
    pub(crate) inside: f64,
    /// Bytes that rank 0 sends in an update.
    pub(crate) sent: f64,
    /// Bytes of Adam's state: of rank 0, and of one process.
    pub(crate) state: (u64, u64),
    /// Whether x has the bits of one process that sums over the same parts.
    pub(crate) bitwise: bool,
    /// The greatest difference to one process with the whole minibatch, over the greatest magnitude: of
    /// the first gradient, and of x at the end.
    pub(crate) gradient: f64,
    pub(crate) apart: f64,
}

const MACHINES: [usize; 4] = [2, 8, 64, 512];

/// In bits a second, with the seconds that a message takes on its way.
const NETWORKS: [(&str, f64, f64); 2] = [("10 Gb/s", 1e10, 3e-5), ("100 Gb/s", 1e11, 5e-6)];

/// Elements of a gradient that are exchanged at a time.
const BLOCK: usize = 1 << 20;

impl Measured {
    /// Bytes that each of so many machines sends: the exchange and the gathering of the gradient,
    /// 2n(M − 1)/M numbers, and the gathering of x, n(M − 1)/M.
    fn bytes(&self, machines: usize) -> f64 {
        let share = (machines - 1) as f64 / machines as f64;
        3.0 * 4.0 * self.parameters as f64 * share
    }

    /// Seconds that the network takes for an update: bytes by the bandwidth, and M − 1 messages, one
    /// after another, for each exchange or gathering; six more of log₂ M, by which ranks agree.
    fn network(&self, machines: usize, (_, bandwidth, latency): (&str, f64, f64)) -> f64 {
        let calls = 2 * self.parameters.div_ceil(BLOCK) + 1;
        let messages = (calls * (machines - 1)) as f64 + 6.0 * (machines as f64).log2();
        8.0 * self.bytes(machines) / bandwidth + messages * latency
    }
}

/// As text.
pub(crate) fn table(name: &str, m: &Measured) -> String {
    let mut out = String::new();
    let (share, whole) = (m.state.0 as f64 / m.state.1 as f64, m.bytes(m.ranks) / 1e6);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "\n{name}: {} parameters, Adam in shards, {} updates on {} samples of {} ranks\n\
         \x20 x to the bits of one process that sums over the same {} parts: {}\n\
         \x20 to one process with the whole minibatch to rounding: the first gradient within {:.1e} of\n\
         \x20 its greatest element, x at the end {:.1e} (Adam steps by the sign of what is near 0)\n\
         \x20 state of a rank: {share:.3} of one process'\n\
         \x20 an update: {:.1} ms in one process, {:.1} ms on {} ranks of the same cores, {:.1} ms of \
         these in MPI\n\
         \x20 sent by a rank in an update: {:.2} MB, {whole:.2} MB by the formula\n",
        m.parameters,
        m.updates,
        m.batch,
        m.ranks,
        m.ranks,
        if m.bitwise { "equal" } else { "NOT EQUAL" },
        m.gradient,
        m.apart,
        1e3 * m.alone,
        1e3 * m.together,
        m.ranks,
        1e3 * m.inside,
        m.sent / 1e6,
    );
    let _ = write!(
        out,
        "  on paper, {} samples on each machine, {:.1} ms of its own work as measured in one process,\n\
         \x20 nothing sent while it works, full bisection, 30 and 5 µs a message:\n\
         \x20 | machines | MB sent |",
        m.batch,
        1e3 * m.alone
    );
    for (network, ..) in NETWORKS {
        let _ = write!(out, " ms at {network} | of ideal |");
    }
    out.push('\n');
    for machines in MACHINES {
        let _ = write!(out, "  | {machines:8} | {:7.2} |", m.bytes(machines) / 1e6);
        for network in NETWORKS {
            let step = m.alone + m.network(machines, network);
            let (ms, ideal) = (1e3 * step, 100.0 * m.alone / step);
            let width = network.0.len() + 6;
            let _ = write!(out, " {ms:width$.1} | {ideal:6.0} % |");
        }
        out.push('\n');
    }
    out
}
