//! Loads a compiled classifier at run time and runs it, in Rust without any crate:
//!
//!     rust LIBRARY      runs it
//!     rust --layout     prints where members of the C ABI's structs lie
//!
//! LIBRARY is a cc_torch_shared_library of a model from one picture
//! float32[batch, 3, height, width] to scores float32[batch, classes].

mod rtorch;

use std::process::ExitCode;

use rtorch::{Library, Tensor};

fn run(path: &str) -> Result<(), rtorch::Error> {
    let library = Library::open(path)?;
    println!("{}", library.name());
    println!("  signature: {}", library.signature());
    let model = library.model()?;

    let sizes = [1, 3, 224, 224];
    let pixels: Vec<f32> = (0..3 * 224 * 224)
        .map(|i| (i % 251) as f32 / 125.0 - 1.0)
        .collect();
    let outputs = model.run(&[Tensor::new(&pixels, &sizes)])?;
    let scores = outputs[0].elements::<f32>()?;
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    if let Some(best) = best {
        println!(
            "best of {} classes: {}, score {:.3}",
            scores.len(),
            best,
            scores[best]
        );
    }

    // Wrong arguments are errors with a message.
    let grey = [0f32; 16];
    if let Err(error) = model.run(&[Tensor::new(&grey, &[1, 1, 4, 4])]) {
        println!("a grey 4 x 4 picture: {error}");
    }
    if let Err(error) = model.run(&[Tensor::new(&[0f64; 16], &[1, 1, 4, 4])]) {
        println!("another dtype: {error}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--layout"] => rtorch::print_layout(),
        [path] => {
            if let Err(error) = run(path) {
                eprintln!("rust: {path}: {error} (code {})", error.code);
                return ExitCode::from(1);
            }
        }
        _ => {
            eprintln!("usage: rust LIBRARY");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
