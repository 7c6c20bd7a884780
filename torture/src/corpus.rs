//! The small files that the fuzzer begins with: `opt-torture corpus FOLDER` writes them anew.

use std::path::Path;

use opt_core::{FirstOrder, Rule, Run};
use opt_data::Zca;
use opt_firstorder::torch::{self, TorchRule};
use opt_firstorder::{
    AdaDelta, AdaGrad, AdaMax, Adam, AdamW, IRpropMinus, Momentum, RmsProp, RmsPropMomentum,
};

use crate::models::{Begin, Data, Model, Session, subjects, text};
use crate::readers::{FewBits, ZCA_EPSILON, torch_params, zca_inputs};

/// The files of a reader.
pub(crate) fn read(reader: &str) -> Result<Vec<Vec<u8>>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(reader);
    let named = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = std::fs::read_dir(&folder).map_err(named)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(named)?.path());
    }
    // The order decides on what a seed makes.
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).map_err(named))
        .collect()
}

pub(crate) fn write(folder: &Path) -> Result<(), String> {
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    for (name, content) in texts() {
        put(name, content)?;
    }
    for (name, bytes) in numbers() {
        put(name, &bytes)?;
    }
    snapshots(folder)?;
    for (name, bytes) in torch_files()? {
        put(&format!("torch/{name}.safetensors"), &bytes)?;
    }
    std::fs::create_dir_all(folder.join("zca")).map_err(text)?;
    let cache = folder.join("zca/cache");
    let _ = std::fs::remove_file(&cache);
    Zca::fit_cached(zca_inputs().view(), ZCA_EPSILON, &cache).map_err(text)?;
    Ok(())
}

fn texts() -> [(&'static str, &'static [u8]); 8] {
    [
        ("csv/numbers.csv", b"0.5,-1,3,0\n2,1e3,4,1\n-7.25,0,5,2\n"),
        (
            "csv/names.csv",
            b"x,\"y\",z,kind\r\n1,2,3,\"a, \"\"b\"\"\"\r\n4,5,6,c\r\n\r\n7,8,9,c\r\n",
        ),
        ("csv/mark.csv", b"\xef\xbb\xbfx,y,z\n1, 2 ,0\r3,4,1\r"),
        (
            "svmlight/one.txt",
            b"1 1:0.5 3:2 # a comment\n-1 2:1e-3\n+1 4:7\n",
        ),
        (
            "svmlight/zero.txt",
            b"-1 0:1 4:2\n1 1:3\n0\n\n1 2:-0.5 3:1\n",
        ),
        (
            "rated-text/two.tsv",
            b"3.5\tIt's good, and good is rare.\n-2\tIt's rare to be so bad.\n",
        ),
        (
            "rated-text/utf8.tsv",
            "1\tcaf\u{e9} na\u{ef}ve\n-1\t\u{1f600} caf\u{e9}\n".as_bytes(),
        ),
        (
            "rated-text/dropped.tsv",
            b"0\tneither\n1\tyes yes\n-1\tno\n",
        ),
    ]
}

fn numbers() -> Vec<(&'static str, Vec<u8>)> {
    let idx = |kind: u8, sizes: &[u32], data: &[u8]| {
        let mut bytes = vec![0, 0, kind, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend(data);
        bytes
    };
    let floats: Vec<u8> = [0.5_f32, -1.0, 3.0, 2.0]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect();
    let doubles: Vec<u8> = [0.5_f64, 4.0]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect();
    let images = |labels: &[u8]| -> Vec<u8> {
        let image = |&label: &u8| std::iter::once(label).chain((0..3072).map(|i| (i % 251) as u8));
        labels.iter().flat_map(image).collect()
    };
    vec![
        (
            "idx/images",
            idx(8, &[3, 2, 2], &[0, 255, 7, 9, 1, 2, 3, 4, 5, 6, 7, 8]),
        ),
        ("idx/labels", idx(8, &[3], &[0, 1, 2])),
        ("idx/signed", idx(9, &[2, 2], &[255, 1, 128, 127])),
        ("idx/i16", idx(11, &[2, 1], &[255, 255, 0, 1])),
        ("idx/i32", idx(12, &[2], &[0, 0, 0, 3, 0, 0, 0, 1])),
        ("idx/f32", idx(13, &[2, 2], &floats)),
        ("idx/f64", idx(14, &[2], &doubles)),
        ("cifar/one", images(&[3])),
        ("cifar/none", Vec::new()),
    ]
}

/// Of runs of methods, and of plain variables.
fn snapshots(folder: &Path) -> Result<(), String> {
    let data = Data::new()?;
    for subject in subjects() {
        if !["adam", "sgd", "delta-bar-delta"].contains(&&*subject.name) {
            continue;
        }
        let Begin::Ready(mut session) = Session::begin(&subject, Model::Dense, &data, 0)? else {
            continue;
        };
        session.run(0..2)?;
        let name = format!(
            "snapshot-f32/{}.safetensors",
            subject.name.replace(' ', "-")
        );
        let path = folder.join(name);
        std::fs::create_dir_all(folder.join("snapshot-f32")).map_err(text)?;
        session.with_run(|run| run.save(path))?;
    }
    let mut few = FewBits::default();
    let (mut x, mut step, mut best) = (vec![1.0_f32, -2.5, 3e-8], 17_u64, 0.25);
    let mut run = Run::new()
        .with("x", &mut x)
        .with("step", &mut step)
        .with("best", &mut best);
    run.save(folder.join("snapshot-f32/plain.safetensors"))
        .map_err(text)?;
    let mut run = Run::new().with("few", &mut few);
    run.save(folder.join("snapshot-f32/few-bits.safetensors"))
        .map_err(text)?;
    std::fs::create_dir_all(folder.join("snapshot-f64")).map_err(text)?;
    let (mut x, mut step) = (vec![1.0_f64, -2.5, 3e-8], 17_u64);
    let mut run = Run::new().with("x", &mut x).with("step", &mut step);
    run.save(folder.join("snapshot-f64/plain.safetensors"))
        .map_err(text)
}

fn torch_files() -> Result<Vec<(&'static str, Vec<u8>)>, String> {
    fn one<R: Rule<f32, N> + TorchRule, const N: usize>(rule: R) -> Result<Vec<u8>, String> {
        let params = torch_params().map_err(text)?;
        let mut update = FirstOrder::new(rule, &params).map_err(text)?;
        let mut x = vec![0.5_f32; params.len()];
        for _ in 0..2 {
            update
                .apply(&mut x, &vec![0.25; params.len()])
                .map_err(text)?;
        }
        torch::to_bytes(&mut update).map_err(text)
    }
    Ok(vec![
        ("adam", one(Adam::default())?),
        ("adamw", one(AdamW::default())?),
        ("adamax", one(AdaMax::default())?),
        ("sgd", one(Momentum::default())?),
        ("rmsprop", one(RmsProp::default())?),
        ("rmsprop-momentum", one(RmsPropMomentum::default())?),
        ("adagrad", one(AdaGrad::default())?),
        ("adadelta", one(AdaDelta::default())?),
        ("rprop", one(IRpropMinus::default())?),
    ])
}
