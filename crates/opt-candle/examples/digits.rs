//! candle's MNIST perceptron and convolutional network, and a transformer block, on the 8×8 digits: candle's own AdamW,
//! Adam, AdamW in groups, and K-FAC. Run it with `--release`.

#![allow(clippy::print_stdout)] // what an example is for

use candle_core::{D, Module, Result, Tensor};
use candle_nn::{Conv2dConfig, LayerNorm, VarBuilder, conv2d, layer_norm_no_bias, linear, seq};
use opt_candle::Tape;

mod common;

fn perceptron(vb: VarBuilder<'_>, tape: &Tape) -> Result<Box<dyn Module>> {
    let net = seq()
        .add(tape.linear(linear(64, 100, vb.pp("ln1"))?))
        .add(candle_nn::Activation::Relu)
        .add(tape.linear(linear(100, 10, vb.pp("ln2"))?));
    Ok(Box::new(net))
}

/// As candle's `mnist-training`: two convolutions that are pooled, two dense layers.
fn convolutional(vb: VarBuilder<'_>, tape: &Tape) -> Result<Box<dyn Module>> {
    let config = Conv2dConfig {
        padding: 1,
        ..Conv2dConfig::default()
    };
    let net = seq()
        .add(tape.conv2d(conv2d(1, 8, 3, config, vb.pp("c1"))?)?)
        .add_fn(|h| h.relu()?.max_pool2d(2))
        .add(tape.conv2d(conv2d(8, 16, 3, config, vb.pp("c2"))?)?)
        .add_fn(|h| h.relu()?.max_pool2d(2)?.flatten_from(1))
        .add(tape.linear(linear(64, 64, vb.pp("fc1"))?))
        .add(candle_nn::Activation::Relu)
        .add(tape.linear(linear(64, 10, vb.pp("fc2"))?));
    Ok(Box::new(net))
}

const WIDTH: usize = 32;
const HEADS: usize = 4;

/// Every row of an image is a token: one block with four heads, and the mean over tokens.
struct Block<L> {
    embed: L,
    places: Tensor,
    norms: [LayerNorm; 2],
    /// Queries, keys, values, what joins the heads.
    attention: [L; 4],
    dense: [L; 2],
    head: L,
}

impl<L: Module> Block<L> {
    fn attend(&self, h: &Tensor) -> Result<Tensor> {
        let (samples, tokens, _) = h.dims3()?;
        let heads = |layer: &L| {
            let all = layer
                .forward(h)?
                .reshape((samples, tokens, HEADS, WIDTH / HEADS))?;
            all.transpose(1, 2)?.contiguous()
        };
        let [q, k, v] = [0, 1, 2].map(|part| heads(&self.attention[part]));
        let scale = ((WIDTH / HEADS) as f64).sqrt().recip();
        let weights = (q?.matmul(&k?.t()?.contiguous()?)? * scale)?;
        let mixed = candle_nn::ops::softmax(&weights, D::Minus1)?.matmul(&v?)?;
        let mixed = mixed.transpose(1, 2)?.contiguous()?;
        self.attention[3].forward(&mixed.reshape((samples, tokens, WIDTH))?)
    }
}

impl<L: Module> Module for Block<L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.embed.forward(x)?.broadcast_add(&self.places)?;
        let h = (&h + self.attend(&self.norms[0].forward(&h)?)?)?;
        let inner = self.dense[0].forward(&self.norms[1].forward(&h)?)?.gelu()?;
        let h = (h + self.dense[1].forward(&inner)?)?;
        self.head.forward(&h.mean(1)?)
    }
}

fn transformer(vb: VarBuilder<'_>, tape: &Tape) -> Result<Box<dyn Module>> {
    let layer = |inputs, outputs, name| -> Result<_> {
        Ok(tape.linear(linear(inputs, outputs, vb.pp(name))?))
    };
    // With a bias, candle's is fused, and has no backward pass.
    let norm = |name| layer_norm_no_bias(WIDTH, 1e-5, vb.pp(name));
    Ok(Box::new(Block {
        embed: layer(8, WIDTH, "embed")?,
        places: vb.get_with_hints(
            (8, WIDTH),
            "places",
            candle_nn::init::DEFAULT_KAIMING_NORMAL,
        )?,
        norms: [norm("norm1")?, norm("norm2")?],
        attention: [
            layer(WIDTH, WIDTH, "q")?,
            layer(WIDTH, WIDTH, "k")?,
            layer(WIDTH, WIDTH, "v")?,
            layer(WIDTH, WIDTH, "join")?,
        ],
        dense: [
            layer(WIDTH, 2 * WIDTH, "up")?,
            layer(2 * WIDTH, WIDTH, "down")?,
        ],
        head: layer(WIDTH, 10, "head")?,
    }))
}

fn main() -> common::Result<()> {
    let wanted = std::env::args().nth(1);
    let nets: [(&str, &[usize], common::Build); 3] = [
        ("perceptron", &[64], perceptron),
        ("convolutional", &[1, 8, 8], convolutional),
        ("transformer", &[8, 8], transformer),
    ];
    for (name, shape, build) in nets {
        if wanted.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let (adam, kfac) = common::compare(name, shape, build)?;
        println!("K-FAC after half of the updates {kfac:.2e}, Adam after all {adam:.2e}\n");
        if name != "transformer" {
            assert!(kfac <= adam);
        }
    }
    Ok(())
}
