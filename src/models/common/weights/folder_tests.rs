//! Folders with variants, shards and indices, to the tensors of a checkpoint.

use std::fs;

use serde_json::json;
use tempfile::{TempDir, tempdir};

use super::tests::{file, open, write};

/// The first value of `name` in the checkpoint in `folder`.
fn value(folder: &TempDir, name: &str) -> f64 {
    open(folder.path()).unwrap().get(name, &[1]).unwrap().double_value(&[0])
}

#[test]
fn a_variant_is_taken_where_it_is_alone_and_the_most_precise_of_several() {
    // From the first that is taken to the last.
    let names = [
        "diffusion_pytorch_model.safetensors",
        "model.safetensors",
        "model.fp32.safetensors",
        "model.fp16.safetensors",
        "model.bf16.safetensors",
        "model.ema.safetensors",
        "diffusion_pytorch_model.non_ema.safetensors",
    ];
    let folder = tempdir().unwrap();
    for (i, name) in names.iter().enumerate().rev() {
        write(&folder, name, file(&[("a", &[i as f32])]));
        assert_eq!(value(&folder, "a"), i as f64, "{name}");
        let alone = tempdir().unwrap();
        write(&alone, name, file(&[("a", &[0.5])]));
        assert_eq!(value(&alone, "a"), 0.5, "{name}");
    }
    let chosen = |variant| {
        let path = crate::models::common::checkpoint::choose(folder.path(), Some(variant)).unwrap();
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!([chosen("fp16"), chosen("non_ema"), chosen("fp8")], [names[3], names[6], names[0]]);
}

#[test]
fn shards_are_one_checkpoint() {
    for (index, first, second) in [
        (
            "diffusion_pytorch_model.safetensors.index.json",
            "diffusion_pytorch_model-00001-of-00002.safetensors",
            "diffusion_pytorch_model-00002-of-00002.safetensors",
        ),
        (
            "model.safetensors.index.fp16.json",
            "model.fp16-00001-of-00002.safetensors",
            "model.fp16-00002-of-00002.safetensors",
        ),
        (
            "model.bf16.safetensors.index.json",
            "model-00001-of-00002.bf16.safetensors",
            "model-00002-of-00002.bf16.safetensors",
        ),
        ("model.safetensors.index.json", "a.safetensors", "deep/er/b.safetensors"),
    ] {
        let folder = tempdir().unwrap();
        fs::create_dir_all(folder.path().join("deep/er")).unwrap();
        write(&folder, first, file(&[("a", &[1.0]), ("b", &[9.0])]));
        write(&folder, second, file(&[("b", &[2.0]), ("c", &[3.0]), ("unlisted", &[4.0])]));
        let map = |c: &str| {
            let map = json!({"a": first, "b": second, "c": c, "nobody.needs.it": first});
            json!({"metadata": {"total_size": 12.0}, "weight_map": map}).to_string()
        };
        // The index decides where a tensor is in two shards.
        for second in [second.to_owned(), format!("./{second}"), second.replace('/', "\\")] {
            write(&folder, index, map(&second));
            for (name, expected) in [("a", 1.0), ("b", 2.0), ("c", 3.0), ("unlisted", 4.0)] {
                assert_eq!(value(&folder, name), expected, "{name} of {index}");
            }
        }
        // What is listed and not there is an error where it is asked for.
        write(&folder, index, map(first));
        let weights = open(folder.path()).unwrap();
        for name in ["c", "nobody.needs.it"] {
            let error = weights.get(name, &[1]).unwrap_err().to_string();
            let words = [index, &format!("tensor {name}: expected shape [1]"), first];
            assert!(words.iter().all(|words| error.contains(words)), "{error}");
        }
        assert!(!weights.contains("c") && weights.contains("unlisted"));
        for name in ["m-3-of-2.safetensors", "deep"] {
            write(&folder, index, map(name));
            let error = open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        for name in [
            "../x.safetensors",
            "deep/../../x",
            "/etc/passwd",
            "..\\x",
            "C:\\x",
            "\\x",
            "",
            ".",
            "./",
        ] {
            write(&folder, index, map(name));
            let error = open(folder.path()).unwrap_err().to_string();
            let words = format!("expected a file in the folder of the index, found {name}");
            assert!(error.contains(index) && error.contains(&words), "{error}");
        }
    }
}

#[test]
fn an_index_is_read_however_it_is_written_and_a_whole_file_comes_before_it() {
    let folder = tempdir().unwrap();
    let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    write(&folder, first, file(&[("a", &[1.0])]));
    write(&folder, second, file(&[("a", &[2.0])]));
    let index = "model.safetensors.index.json";
    let map = format!(r#""weight_map": {{"a": "{first}", "a": "{second}"}}"#);
    for text in [
        format!("{{{map}}}"),
        format!("\u{feff}{{{map}}}"),
        format!(r#"{{"metadata": {{"total_size": 1e1, "x": NaN}}, {map}, "other": []}}"#),
    ] {
        write(&folder, index, &text);
        assert_eq!(value(&folder, "a"), 2.0, "{text}");
    }
    // A tensor that the index does not list is in the last shard that holds it.
    write(&folder, index, json!({"weight_map": {"x": second, "y": first}}).to_string());
    assert_eq!(value(&folder, "a"), 2.0);
    write(&folder, "model.safetensors", file(&[("a", &[3.0])]));
    assert_eq!(value(&folder, "a"), 3.0);
    write(&folder, index, "{}");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let error = open(folder.path()).unwrap_err().to_string();
    assert!(error.contains(index) && error.contains("weight_map"), "{error}");
}
