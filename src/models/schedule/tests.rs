//! Every scheduler over many settings, against runs that diffusers recorded.

use std::collections::HashMap;

use super::*;
use crate::models::common::golden::{assert_invalid_file, assert_invalid_input, fixture};
use crate::models::common::json::read_json;

fn parse(text: &str, kind: Option<SchedulerKind>) -> Result<SchedulerConfig> {
    SchedulerConfig::read(&settings::parse(Path::new("scheduler_config.json"), text)?, None, kind)
}

fn relative_difference(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let largest = expected.abs().max().double_value(&[]).max(1e-9);
    (found - expected).abs().max().double_value(&[]) / largest
}

/// The network that the recorded runs asked.
fn network(sample: &Tensor, time: f64) -> Tensor {
    (sample * 1.3 + time * 0.001).sin()
}

#[test]
fn every_run_equals_diffusers() {
    let cases: Vec<serde_json::Value> = read_json(&fixture("schedule.json")).unwrap();
    let recorded: HashMap<String, Tensor> =
        Tensor::read_safetensors(fixture("schedule.safetensors")).unwrap().into_iter().collect();
    let (mut runs, mut worst) = (0, 0_f64);
    for (index, case) in cases.iter().enumerate() {
        let kind = case["kind"].as_str().or(case["class"].as_str()).unwrap();
        let kind = SchedulerKind::of_class(kind);
        let config = parse(case["config"].as_str().unwrap(), kind).unwrap();
        assert_eq!(Some(config.kind()), kind);
        for steps in case["steps"].as_array().unwrap() {
            let expected = |what| &recorded[&format!("{index}/{steps}/{what}")];
            let mut run = config.start(steps.as_u64().unwrap() as usize).unwrap();
            let times = run.timesteps().to_vec();
            let difference = relative_difference(&Tensor::from_slice(&times), expected("times"));
            assert!(difference <= 1e-6, "times of {steps} steps: {difference} in {case}");

            let noise = Tensor::from_slice(&[0.3_f32, -1.1, 2.0, 0.01]).reshape([1, 4]);
            let mut samples = vec![noise * run.init_noise_sigma()];
            run.take_noise(&mut [Noise::new(0)], &samples[0]);
            for (step, &time) in times.iter().enumerate() {
                let sample = &samples[step];
                let output = network(&run.scale_model_input(sample, step), time);
                let stepped = run.step(&output, step, sample);
                assert_eq!(stepped.original.size(), [1, 4]);
                samples.push(stepped.sample);
            }
            for (step, sample) in samples.iter().enumerate() {
                let expected = expected("samples").narrow(0, step as i64, 1);
                let difference = relative_difference(sample, &expected);
                worst = worst.max(difference);
                // Processors round the network's sums differently, and the first sigma may be 4,096.
                assert!(difference <= 1e-4, "step {step} of {steps}: {difference} in {case}");
            }
            runs += 1;
        }
    }
    println!("{runs} runs, largest relative difference {worst:.1e}");
    assert!(runs > 300);
}

fn flow_match(text: &str) -> Result<FlowMatchConfig> {
    let settings = settings::parse(Path::new("scheduler_config.json"), text)?;
    FlowMatchConfig::read(&settings, Some("FlowMatchEulerDiscreteScheduler"))
}

/// As `FluxPipeline` calls it; see tests/fixtures/make_flux.py.
#[test]
fn every_flow_equals_diffusers() {
    assert!(flows_like_diffusers("flux/flow_match.json") > 50);
}

/// As `OmniGenPipeline` calls it; see tests/fixtures/make_schedule.py.
#[test]
fn every_inverted_flow_equals_diffusers() {
    assert!(flows_like_diffusers("inverted_flow_match.json") > 80);
}

/// Compares the runs in the fixture `name`. Returns how many there are.
fn flows_like_diffusers(name: &str) -> usize {
    let cases: Vec<serde_json::Value> = read_json(&fixture(name)).unwrap();
    for case in &cases {
        let numbers = |what: &str| {
            let list: Vec<f64> = serde_json::from_value(case[what].clone()).unwrap();
            Tensor::from_slice(&list)
        };
        let config = flow_match(&case["config"].to_string()).unwrap();
        let steps = case["steps"].as_u64().unwrap() as usize;
        let mut run = config.start(steps, case["tokens"].as_i64().unwrap()).unwrap();
        let times = run.timesteps().to_vec();
        let difference = relative_difference(&Tensor::from_slice(&times), &numbers("times"));
        assert!(difference <= 1e-6, "times: {difference} in {case}");
        let mut sample = Tensor::from_slice(&[0.3_f32, -1.1, 2.0, 0.01]);
        for (step, &time) in times.iter().enumerate() {
            sample = run.step(&network(&sample, time), step, &sample).sample;
        }
        let difference = relative_difference(&sample, &numbers("sample"));
        assert!(difference <= 1e-5, "sample: {difference} in {case}");
    }
    cases.len()
}

/// The network of a straight way says the same everywhere on it, so that every step knows its end.
#[test]
fn the_image_of_a_flow_is_where_its_straight_way_ends() {
    for (inverted, direction) in [(false, 1.0), (true, -1.0)] {
        let text = format!(r#"{{"invert_sigmas": {inverted}, "shift": 2.0}}"#);
        let mut run = flow_match(&text).unwrap().start(5, 64).unwrap();
        let (noise, image) =
            (Tensor::from_slice(&[0.3_f32, -1.1, 2.0]), Tensor::from_slice(&[0.5_f32, 1.5, -0.7]));
        let output = (&noise - &image) * direction;
        let mut sample = noise;
        for step in 0..5 {
            let stepped = run.step(&output, step, &sample);
            let difference = relative_difference(&stepped.original, &image);
            assert!(difference <= 1e-6, "step {step}, inverted {inverted}: {difference}");
            sample = stepped.sample;
        }
        assert!(relative_difference(&sample, &image) <= 1e-6, "inverted {inverted}");
    }
}

/// As Python writes an infinite number, which means that nothing is clipped.
#[test]
fn numbers_that_are_not_finite_count_as_not_set() {
    let times = |clipped: &str| {
        let text = format!(r#"{{"beta_schedule": "squaredcos_cap_v2"{clipped}}}"#);
        let config = parse(&text, Some(SchedulerKind::DpmSolver)).unwrap();
        config.start(4).unwrap().timesteps().to_vec()
    };
    let plain = times("");
    for clipped in ["-Infinity", "NaN", "null"] {
        assert_eq!(times(&format!(r#", "lambda_min_clipped": {clipped}"#)), plain, "{clipped}");
    }
    assert_ne!(times(r#", "lambda_min_clipped": -5.1"#), plain);
}

#[test]
fn flows_that_cannot_be_are_errors_that_name_the_field() {
    for (field, text) in [
        ("invert_sigmas", r#"{"invert_sigmas": "yes"}"#),
        ("stochastic_sampling", r#"{"stochastic_sampling": true}"#),
        ("use_beta_sigmas", r#"{"use_beta_sigmas": true, "use_karras_sigmas": true}"#),
        ("use_beta_sigmas", r#"{"use_beta_sigmas": "yes"}"#),
        ("use_flow_sigmas", r#"{"use_flow_sigmas": true}"#),
        ("time_shift_type", r#"{"time_shift_type": "cubic"}"#),
        ("shift_terminal", r#"{"shift_terminal": 1.0}"#),
        ("shift", r#"{"shift": 0}"#),
        ("base_shift", r#"{"use_dynamic_shifting": true, "base_shift": "half"}"#),
        ("max_image_seq_len", r#"{"use_dynamic_shifting": true, "max_image_seq_len": 256}"#),
        ("num_train_timesteps", r#"{"num_train_timesteps": 0}"#),
    ] {
        assert_invalid_file(flow_match(text), field);
    }
    let settings = settings::parse(Path::new("s.json"), "{}").unwrap();
    let error = FlowMatchConfig::read(&settings, Some("EulerDiscreteScheduler")).unwrap_err();
    assert!(error.to_string().contains("FlowMatchEulerDiscreteScheduler"), "{error}");
    let config = flow_match(r#"{"shift_terminal": 0.1}"#).unwrap();
    for steps in [0, 1, usize::MAX] {
        assert_invalid_input(config.start(steps, 64), "steps");
    }
    assert!(config.start(2, 64).is_ok());
}

#[test]
fn unknown_values_are_errors_that_name_the_field() {
    for (field, value, kind) in [
        ("beta_schedule", "\"sigmoid\"", "euler"),
        ("prediction_type", "\"flow_prediction\"", "dpm++"),
        ("timestep_spacing", "\"random\"", "ddim"),
        ("thresholding", "true", "ddim"),
        ("thresholding", "true", "dpm++"),
        ("algorithm_type", "\"sde-dpmsolver++\"", "dpm++"),
        ("use_beta_sigmas", "1", "euler"),
        ("original_inference_steps", "1001", "lcm"),
        ("thresholding", "true", "lcm"),
        ("prediction_type", "\"flow_prediction\"", "lcm"),
        ("use_flow_sigmas", "true", "dpm++"),
        ("solver_order", "4", "dpm++"),
        ("final_sigmas_type", "\"one\"", "euler"),
        ("num_train_timesteps", "0", "euler"),
        ("num_train_timesteps", "\"1000\"", "euler"),
        ("beta_start", "\"small\"", "euler"),
        ("trained_betas", "[0.1, 0.2]", "euler"),
        ("variance_type", "\"learned\"", "dpm++"),
        ("clip_sample", "3", "ddim"),
    ] {
        let text = format!(r#"{{"{field}": {value}}}"#);
        assert_invalid_file(parse(&text, Some(kind.parse().unwrap())), field);
    }
    assert!(parse(r#"{"beta_end": 7.0}"#, Some(SchedulerKind::Euler)).is_err());
    assert!(parse("[]", Some(SchedulerKind::Euler)).is_err());
    assert!(parse("{", Some(SchedulerKind::Euler)).is_err());
}

#[test]
fn the_class_chooses_the_scheduler_and_an_unknown_one_asks_for_a_choice() {
    let class = |class: &str| format!(r#"{{"_class_name": "{class}"}}"#);
    assert_eq!(parse(&class("DDIMScheduler"), None).unwrap().kind(), SchedulerKind::Ddim);
    let error = parse(&class("UniPCMultistepScheduler"), None).unwrap_err().to_string();
    assert!(error.contains("_class_name") && error.contains("UniPC"), "{error}");
    assert!(error.contains("EulerDiscreteScheduler") && error.contains("LCMScheduler"), "{error}");
    assert_eq!(parse(&class("LCMScheduler"), None).unwrap().kind(), SchedulerKind::Lcm);
    assert!(parse(&class("UniPCMultistepScheduler"), Some(SchedulerKind::DpmSolver)).is_ok());
    assert!(parse("{}", None).is_err());
}

#[test]
fn numbers_of_steps_out_of_range_are_errors() {
    let lcm = parse("{}", Some(SchedulerKind::Lcm)).unwrap();
    for steps in [0, 51, usize::MAX] {
        assert_invalid_input(lcm.start(steps), "steps");
    }
    for kind in [SchedulerKind::Euler, SchedulerKind::Ddim, SchedulerKind::DpmSolver] {
        let config = parse(r#"{"timestep_spacing": "leading"}"#, Some(kind)).unwrap();
        for steps in [0, 1001, usize::MAX] {
            assert_invalid_input(config.start(steps), "steps");
        }
    }
    // Two steps at one level of the training: what comes after them would be no number.
    let config = parse("{}", Some(SchedulerKind::DpmSolver)).unwrap();
    assert!(config.start(900).is_ok());
    assert_invalid_input(config.start(1_000), "steps: expected fewer: the 1000 levels");
    // Leading spacing with an offset would ask for time 1,000 of 0 to 999.
    let config = parse(r#"{"steps_offset": 1}"#, Some(SchedulerKind::Ddim)).unwrap();
    assert!(config.start(1000).is_err() && config.start(999).is_ok());
}
