//! What batches are estimated to take, and where their keys and values are kept for it.

use std::path::Path;
use std::sync::mpsc::channel;

use tch::Kind;

use super::memory::{Batch, Footprint};
use super::room::{Place, Room};
use super::tests::{pictured, plain, request};
use super::*;
use crate::Error;
use crate::generator::Progress;
use crate::generator::checks::{assert_same, draw, images, three};
use crate::models::VaeTiling;
use crate::models::common::golden::fixture as golden;
use crate::models::omnigen::config::OmniGenConfig;
use crate::models::vae::VaeConfig;

const ONE: &str = "a bird like <img><|image_1|></img> on a branch";

/// That of the released checkpoint.
fn released(kind: Kind) -> Footprint {
    let config = |name: &str| golden("inventories").join(format!("{name}.config.json"));
    let transformer = OmniGenConfig::read(&config("omnigen_transformer")).unwrap();
    let vae = VaeConfig::open(&config("vae")).unwrap();
    Footprint::new(&transformer, &vae, kind, VaeTiling::Auto).unwrap()
}

/// An image of `side` pixels in 50 steps with square references of `reference` pixels a side: the rows
/// of prompt, references alone and negative prompt. Texts are as long as the released tokenizer makes
/// them about.
fn of_released(side: u64, references: u64, reference: u64) -> Batch {
    let pictures = references * (reference / 16).pow(2);
    let mut conditions = vec![pictures + 110 + 25 * references];
    conditions.extend((references > 0).then_some(pictures + 20 + 10 * references));
    conditions.push(160);
    Batch {
        jobs: 1,
        conditions,
        noise: (side / 16).pow(2),
        steps: 50,
        picture: if references > 0 { (reference / 16).pow(2) } else { 0 },
        chunk: 160,
        pixels: side * side,
        reference_pixels: if references > 0 { reference * reference } else { 0 },
    }
}

/// Of `found` and `expected` the larger is at most 3 % more.
#[track_caller]
fn assert_about(found: u64, expected: f64) {
    let ratio = found as f64 / expected;
    assert!((0.97..1.03).contains(&ratio), "{found}, expected about {expected}");
}

/// By arithmetic from the config: 2 · 3,072 values a token in each of 32 layers.
#[test]
fn the_released_checkpoint_takes_what_arithmetic_says() {
    let footprint = released(Kind::BFloat16);
    let token = |tokens| {
        let batch = Batch { conditions: vec![tokens], ..of_released(1024, 0, 0) };
        footprint.estimate(&batch).keys_and_values
    };
    assert_eq!(token(1_001) - token(1_000), 393_216);
    // 3.76 G values without the table, and the VAE.
    assert_about(footprint.estimate(&of_released(1024, 0, 0)).weights, 7.69e9);
    for (references, side, gigabytes) in
        [(1, 1024, 3.34), (2, 1024, 6.58), (3, 1024, 9.82), (3, 512, 2.57)]
    {
        let found = footprint.estimate(&of_released(1024, references, side));
        assert_about(found.keys_and_values, gigabytes * 1e9);
    }
    let [one, three] = [1, 3].map(|n| footprint.estimate(&of_released(1024, n, 1024)).row_tokens);
    assert_eq!(one, [8_328, 8_223, 4_257]);
    assert_eq!(three, [16_570, 16_435, 4_257]);
    // Beside the weights in 24 GB: not on the device, but in host memory.
    let three = footprint.estimate(&of_released(1024, 3, 1024));
    assert!(three.weights + three.with_device_cache < 20_000_000_000, "{three}");
    assert!(three.weights + three.with_host_cache < 16_000_000_000, "{three}");
}

#[test]
fn the_documented_memory_is_that_of_the_estimate() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/weights.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let footprint = released(Kind::BFloat16);
    for (references, side) in
        [(0, 0), (1, 512), (2, 512), (3, 512), (1, 1024), (2, 1024), (3, 1024)]
    {
        let found = footprint.estimate(&of_released(1024, references, side));
        let of = if references == 0 { String::new() } else { format!(" of {side} x {side}") };
        let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        let line = format!(
            "| {references}{of} | {} | {} | {} |",
            gigabytes(found.keys_and_values),
            gigabytes(found.weights + found.with_device_cache),
            gigabytes(found.weights + found.with_host_cache),
        );
        assert!(docs.contains(&line), "docs/weights.md lacks: {line}");
    }
}

#[test]
fn keys_and_values_are_where_the_policy_and_the_memory_say() {
    use KvCache::{Auto, Device, Host};
    let batch = of_released(1024, 3, 1024);
    let estimate = released(Kind::BFloat16).estimate(&batch);
    let (device, host) = (estimate.with_device_cache, estimate.with_host_cache);
    assert!(host < device);
    let kept = estimate.keys_and_values;
    let choose = |policy, jobs, on_device: Option<u64>, on_host, are_apart| {
        let room = Room { on_device: |_| Ok(on_device), on_host, are_apart };
        room.place(policy, &Batch { jobs, ..batch.clone() }, &estimate)
    };
    // Much of both, and little of the device.
    for (policy, on_device, expected) in [
        (Auto, Some(device), Some(Place::Device)),
        (Auto, Some(device - 1), Some(Place::Host)),
        (Auto, Some(host), Some(Place::Host)),
        (Auto, Some(host - 1), None),
        (Auto, None, Some(Place::Device)),
        (Device, Some(device), Some(Place::Device)),
        (Device, Some(device - 1), None),
        (Device, None, Some(Place::Device)),
        (Host, Some(device), Some(Place::Host)),
        (Host, Some(host), Some(Place::Host)),
        (Host, Some(host - 1), None),
        (Host, None, Some(Place::Host)),
    ] {
        let found = choose(policy, 1, on_device, Some(kept), true).ok();
        assert_eq!(found, expected, "{policy} {on_device:?}");
        assert_eq!(choose(policy, 1, on_device, None, true).ok(), expected, "{policy}");
    }
    // Little host memory.
    assert_eq!(choose(Auto, 1, Some(device), Some(0), true).unwrap(), Place::Device);
    let error = choose(Auto, 1, Some(host), Some(kept - 1), true).unwrap_err();
    assert!(
        error.chain().to_string().contains("of host memory, where 9.8 GB are free"),
        "{error:?}"
    );
    // A batch is made smaller before host memory is used.
    let Err(Error::OutOfMemory { requested, .. }) = choose(Auto, 2, Some(host), None, true) else {
        panic!("a batch in host memory")
    };
    assert_eq!(requested, Some(device));
    // The CPU has one memory.
    for policy in [Auto, Device, Host] {
        assert_eq!(choose(policy, 1, Some(device), None, false).unwrap(), Place::Device);
        assert!(choose(policy, 1, Some(device - 1), None, false).is_err());
    }
    // What was asked for, what is there, and what helps.
    let error = choose(Device, 1, Some(5_000_000_000), None, true).unwrap_err();
    let words = error.chain().to_string();
    let wanted = format!("take about {:.1} GB on the device beside", device as f64 / 1e9);
    for part in [
        "keeping keys and values of OmniGen ran out of memory: 3 rows of up to 16570 tokens",
        &wanted,
        "where 5.0 GB are free",
        "a smaller max_input_image_size, fewer references",
        &format!("KvCache::Host, which takes {:.1} GB", host as f64 / 1e9),
    ] {
        assert!(words.contains(part), "{words}: {part}");
    }
    let Error::OutOfMemory { requested, .. } = error else { panic!("{words}") };
    assert_eq!(requested, Some(device));
}

#[test]
fn a_request_is_estimated_as_it_will_be_drawn() {
    let omnigen = plain().load().unwrap();
    let rows = |request: &GenerateRequest| omnigen.estimate(request).unwrap().row_tokens;
    // Two rows of text before 2 x 2 tokens of noise.
    let plain_rows = rows(&request("a bird"));
    assert_eq!(plain_rows.len(), 2);
    let longer = rows(&request("a bird and a bird"));
    assert!(longer[0] > plain_rows[0] && longer[1] == plain_rows[1], "{longer:?}");
    // 64 x 32 pixels are 8 tokens, in the rows of prompt and references.
    let one = rows(&pictured(ONE, &["wide"]));
    let same_words = rows(&pictured(ONE, &["small"]));
    assert_eq!(one.len(), 3);
    let small = 4; // 64 x 16 pixels
    let difference: Vec<_> = one.iter().zip(&same_words).map(|(a, b)| a - b).collect();
    assert_eq!(difference, [8 - small, 8 - small, 0]);
    // Rows that cancel are not counted.
    assert_eq!(rows(&request("a bird").with_guidance_scale(1.0)).len(), 1);
    assert_eq!(rows(&pictured(ONE, &["wide"]).with_guidance_scale(1.6)).len(), 2);
    // More of anything takes more.
    let bytes = |request: &GenerateRequest| omnigen.estimate(request).unwrap().keys_and_values;
    assert!(bytes(&pictured(ONE, &["wide"])) > bytes(&request("a bird")));
    let refused = omnigen.estimate(&pictured("a bird", &["wide"])).unwrap_err();
    assert!(refused.to_string().contains("found no placeholder"), "{refused}");
}

#[test]
fn all_images_of_a_batch_are_counted() {
    let omnigen = plain().load().unwrap();
    let checks = &omnigen.0.config.family;
    let jobs = three(&pictured(ONE, &["wide"]))
        .map(|request| omnigen.0.job(&GenerateRequest { prompt: ONE.into(), ..request }).unwrap());
    let batch = |count| Batch::of(checks, jobs[..count].iter().map(|job| &**job)).unwrap();
    let [one, all] = [1, 3].map(|count| checks.footprint.estimate(&batch(count)));
    assert_eq!((one.row_tokens.len(), all.row_tokens.len()), (3, 9));
    assert!(all.keys_and_values > 2 * one.keys_and_values);
    assert_eq!((batch(3).jobs, all.weights), (3, one.weights));
}

#[test]
fn every_policy_draws_the_same() {
    let requests = [request("a bird"), pictured(ONE, &["wide"])];
    let drawn = [KvCache::Auto, KvCache::Device, KvCache::Host].map(|policy| {
        let omnigen = plain().kv_cache(policy).load().unwrap();
        // The second time in memory that was there before.
        let once = requests.each_ref().map(|request| draw(&omnigen, request.clone()).unwrap());
        for (request, image) in requests.iter().zip(&once) {
            assert_same(&draw(&omnigen, request.clone()).unwrap(), image);
        }
        once
    });
    for other in &drawn[1..] {
        for (image, expected) in other.iter().zip(&drawn[0]) {
            assert_same(image, expected);
        }
    }
}

#[test]
fn a_limit_refuses_an_image_before_any_work_and_halves_a_batch() {
    let requests = three(&request(""));
    let whole = plain().batch_pixels(1 << 18).load().unwrap();
    let needs = |request| whole.estimate(request).unwrap();
    let most = requests.iter().map(|request| needs(request).with_device_cache).max().unwrap();

    // 1. the images of a batch, of which the limit allows one at a time
    let limited = plain().batch_pixels(1 << 18).memory_limit(most).kv_cache(KvCache::Device);
    let limited = limited.load().unwrap();
    let told = |omnigen: &OmniGen| {
        let (tell, told) = channel();
        let watched = requests.iter().enumerate().map(|(i, request)| {
            let tell = tell.clone();
            let progress = Progress::new(move |step| tell.send((i, step.index)).unwrap());
            GenerateRequest { progress, ..request.clone() }
        });
        let drawn = images(omnigen, &watched.collect::<Vec<_>>());
        (drawn, told.try_iter().collect::<Vec<_>>())
    };
    let (together, order) = told(&whole);
    assert_eq!(order[..3], [(0, 1), (1, 1), (2, 1)]);
    let (alone, order) = told(&limited);
    assert_eq!(order[..4], [(0, 1), (0, 2), (0, 3), (1, 1)]);
    alone.iter().zip(&together).for_each(|(image, expected)| assert_same(image, expected));

    // 2. an image that it does not allow, however little is missing
    let least = needs(&request("a bird"));
    let least = least.with_device_cache.min(least.with_host_cache);
    let limited = plain().memory_limit(least - 1).load().unwrap();
    let progress = Progress::new(|_| panic!("a step of what has no room"));
    let error = draw(&limited, GenerateRequest { progress, ..request("a bird") }).unwrap_err();
    let Error::OutOfMemory { requested, .. } = &error else { panic!("{error}") };
    assert!(*requested >= Some(least), "{requested:?}");
    assert!(error.chain().to_string().contains("a smaller image"), "{}", error.chain());
}

#[test]
fn very_long_prompts_are_estimated_and_drawn() {
    let omnigen = plain().load().unwrap();
    let long = request(&"stripes and spots ".repeat(440));
    assert!(long.prompt.chars().count() > 7_900);
    let estimate = omnigen.estimate(&long).unwrap();
    assert!(estimate.row_tokens[0] > 2_048, "{estimate}");
    let short = omnigen.estimate(&request("stripes")).unwrap();
    assert!(estimate.with_device_cache > short.with_device_cache);
    assert_ne!(draw(&omnigen, long).unwrap(), draw(&omnigen, request("stripes")).unwrap());
}

#[test]
fn policies_have_names() {
    for (policy, name) in
        [(KvCache::Auto, "auto"), (KvCache::Device, "device"), (KvCache::Host, "host")]
    {
        assert_eq!((policy.to_string().as_str(), name.parse().ok()), (name, Some(policy)));
    }
    let error = "gpu".parse::<KvCache>().unwrap_err();
    assert_eq!(error.to_string(), "kv cache: expected auto, device or host, found gpu");
}
