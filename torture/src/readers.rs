//! Every public reader of files, as the fuzzer calls it.

use std::path::Path;

use ndarray::{Array2, array};
use opt_core::{Bits, Checkpoints, ParamMap, Rule, Run, Snapshot, State, Visit};
use opt_data::{Column, Dataset, FirstIndex, Header, Rated, Regression, Svmlight, Table, Zca};
use opt_firstorder::torch::{self, TorchRule};
use opt_firstorder::{
    AdaDelta, AdaGrad, AdaMax, Adam, AdamW, IRpropMinus, Momentum, RmsProp, RmsPropMomentum,
};

/// What a reader gets.
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where they are written if the reader is [`Reader::by_path`].
    pub(crate) path: &'a Path,
}

/// One of them.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    /// Its folder in the corpus.
    pub(crate) corpus: &'static str,
    pub(crate) by_path: bool,
    /// Whether the input is to be packed.
    pub(crate) gzip: bool,
    /// Whether it has been read; an error otherwise is typed by its signature. What must hold of a value
    /// is asserted.
    pub(crate) read: fn(&Input<'_>) -> bool,
}

pub(crate) fn all() -> Vec<Reader> {
    let reader = |name, corpus, read| Reader {
        name,
        corpus,
        by_path: false,
        gzip: false,
        read,
    };
    let path = |name, corpus, read| Reader {
        by_path: true,
        ..reader(name, corpus, read)
    };
    let gzip = |name, corpus, read| Reader {
        gzip: true,
        ..reader(name, corpus, read)
    };
    vec![
        path("snapshot f32", "snapshot-f32", snapshot_f32),
        path("snapshot f64", "snapshot-f64", snapshot_f64),
        reader("torch", "torch", torch),
        reader("idx", "idx", idx),
        gzip("idx gzip", "idx", idx),
        reader("csv", "csv", csv),
        gzip("csv gzip", "csv", csv),
        reader("svmlight", "svmlight", svmlight),
        gzip("svmlight gzip", "svmlight", svmlight),
        reader("rated text", "rated-text", rated_text),
        reader("cifar", "cifar", cifar),
        gzip("cifar gzip", "cifar", cifar),
        path("zca", "zca", zca),
    ]
}

/// Read, and restored into states of the right shape: all or nothing.
fn snapshot_f32(input: &Input<'_>) -> bool {
    let Ok(snapshot) = Snapshot::<f32>::load(input.path) else {
        return false;
    };
    let (mut x, mut step, mut best) = (vec![7.0_f32; 3], 9_u64, 2.0);
    let restored = snapshot.restore(&mut [
        ("x", &mut x as &mut dyn State<f32>),
        ("step", &mut step),
        ("best", &mut best),
    ]);
    let untouched = x == [7.0; 3] && step == 9 && best == 2.0;
    assert!(restored.is_ok() || untouched, "half restored");
    let mut few = FewBits::default();
    let restored = snapshot.restore(&mut [("few", &mut few)]);
    assert!(
        restored.is_ok() || few == FewBits::default(),
        "half restored"
    );
    true
}

/// State of all the types that there are but `F`.
#[derive(Debug, PartialEq)]
pub(crate) struct FewBits {
    halves: [u16; 3],
    codes: [u8; 4],
    integers: [i16; 2],
}

impl Default for FewBits {
    fn default() -> Self {
        Self {
            halves: [0x3f80, 0xbf80, 0x7f7f],
            codes: [0, 1, 127, 255],
            integers: [-32_768, 7],
        }
    }
}

impl State<f32> for FewBits {
    fn visit(&mut self, visitor: &mut dyn Visit<f32>) {
        visitor.packed("halves", &[3], Bits::Bf16(&mut self.halves));
        visitor.packed("codes", &[2, 2], Bits::U8(&mut self.codes));
        visitor.packed("integers", &[2], Bits::I16(&mut self.integers));
    }
}

fn snapshot_f64(input: &Input<'_>) -> bool {
    let Ok(snapshot) = Snapshot::<f64>::load(input.path) else {
        return false;
    };
    let (mut x, mut step) = (vec![7.0_f64; 3], 9_u64);
    let mut run = Run::new().with("x", &mut x).with("step", &mut step);
    let restored = run.restore(&snapshot);
    assert!(
        restored.is_ok() || (x == [7.0; 3] && step == 9),
        "half restored"
    );
    true
}

/// By the rules that PyTorch's classes are read as.
fn torch(input: &Input<'_>) -> bool {
    fn one<R: Rule<f32, N> + TorchRule, const N: usize>(bytes: &[u8], params: &ParamMap) -> bool {
        torch::from_bytes::<f32, R, N>(bytes, params).is_ok()
    }
    let Ok(params) = torch_params() else {
        return false;
    };
    let bytes = input.bytes;
    let has = |class: &str| {
        bytes
            .windows(class.len())
            .any(|window| window == class.as_bytes())
    };
    // Of the class that is named; any rule would refuse another's by its name alone.
    (match () {
        () if has("\"AdamW\"") => one::<AdamW, _>,
        () if has("\"Adamax\"") => one::<AdaMax, _>,
        () if has("\"SGD\"") => one::<Momentum, _>,
        () if has("\"RMSprop\"") && has("momentum_buffer") => one::<RmsPropMomentum, _>,
        () if has("\"RMSprop\"") => one::<RmsProp, _>,
        () if has("\"Adagrad\"") => one::<AdaGrad, _>,
        () if has("\"Adadelta\"") => one::<AdaDelta, _>,
        () if has("\"Rprop\"") => one::<IRpropMinus, _>,
        () => one::<Adam, _>,
    })(bytes, &params)
}

pub(crate) fn torch_params() -> Result<ParamMap, opt_core::Error> {
    ParamMap::new([("weight", vec![2, 3]), ("bias", vec![2])])
}

/// Alone, and as images with labels, inputs with targets.
fn idx(input: &Input<'_>) -> bool {
    let Ok(idx) = opt_data::read_idx_from(input.bytes, "idx") else {
        return false;
    };
    if let Ok(matrix) = idx.matrix() {
        assert_eq!(matrix.len(), idx.data.len(), "of another size");
    }
    let _ = Dataset::from_idx(&idx, &idx, "both");
    let _ = Regression::from_idx(&idx, &idx, "both");
    true
}

fn csv(input: &Input<'_>) -> bool {
    let mut read = false;
    for header in [Header::Absent, Header::Present] {
        let Ok(table) = Table::read(input.bytes, "csv", header) else {
            continue;
        };
        let classes = table.classes(Column::Last);
        if let Ok(data) = &classes {
            assert!(data.inputs.iter().all(|v| v.is_finite()), "not finite");
        }
        let words = table.text_classes(Column::Name("kind"));
        let values = table.values(&[Column::First, Column::Index(2)]);
        read |= classes.is_ok() || words.is_ok() || values.is_ok();
    }
    read
}

fn svmlight(input: &Input<'_>) -> bool {
    let mut read = false;
    for (first, columns) in [(FirstIndex::Zero, 5), (FirstIndex::One, 1 << 31)] {
        let reader = Svmlight { columns, first };
        let data = reader.read_from(input.bytes, "svmlight", Rated::sign);
        read |= data.is_ok();
        if let Ok(data) = data {
            let one = data.select(&[0]);
            assert!(one.is_ok() || !data.labels.is_empty(), "no row");
        }
    }
    read
}

fn rated_text(input: &Input<'_>) -> bool {
    opt_data::read_rated_text_from(input.bytes, "text", Rated::sign).is_ok()
}

fn cifar(input: &Input<'_>) -> bool {
    opt_data::read_cifar10_from(input.bytes, "cifar").is_ok()
}

/// What the cache of the corpus is of.
pub(crate) fn zca_inputs() -> Array2<f32> {
    array![
        [1.0, 2.0, 0.5],
        [0.0, -1.0, 0.25],
        [3.0, 1.0, -2.0],
        [0.5, 0.5, 4.0]
    ]
}

pub(crate) const ZCA_EPSILON: f64 = 0.1;

/// Whatever the cache holds, what comes out is the right whitening.
fn zca(input: &Input<'_>) -> bool {
    thread_local! {
        static RIGHT: Option<Zca> = Zca::fit(zca_inputs().view(), ZCA_EPSILON).ok();
    }
    let cached = Zca::fit_cached(zca_inputs().view(), ZCA_EPSILON, input.path);
    let read = cached.is_ok();
    let right = RIGHT.with(|right| cached.ok().is_none_or(|zca| Some(&zca) == right.as_ref()));
    assert!(right, "another whitening");
    read
}

/// The checkpoints of a folder whose newest file is the input: only for a few, as it opens a folder.
pub(crate) fn checkpoints(folder: &Path, bytes: &[u8]) -> Result<(), String> {
    let newest = folder.join(format!("{:020}.safetensors", 2));
    std::fs::write(newest, bytes).map_err(|e| e.to_string())?;
    let checkpoints = Checkpoints::open(folder).map_err(|e| e.to_string())?;
    let (mut x, mut step, mut best) = (vec![7.0_f32; 3], 9_u64, 2.0);
    let mut run = Run::new()
        .with("x", &mut x)
        .with("step", &mut step)
        .with("best", &mut best);
    // The older file is whole: it is gone on from, unless the newest is a whole one of another run.
    match checkpoints.resume(&[], &mut run) {
        Ok(Some(resumed)) if resumed.step == 2 && resumed.damaged.is_empty() => Ok(()),
        Ok(Some(resumed)) if resumed.step == 1 && resumed.damaged.len() == 1 => Ok(()),
        Err(opt_core::Error::Snapshot(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}
