//! Settings of rubrics and models to fingerprints, and to errors where they make no sense.

use crate::evaluation::metric::{Combine, Criterion, Judge, Metric, Rubric, Scale};
use crate::testing::FakeVlm;

#[test]
fn every_setting_is_in_the_fingerprint() {
    let key = |rubric: &Rubric| {
        Judge::new(FakeVlm::default(), rubric.clone()).unwrap().fingerprint().key()
    };
    let base = Rubric::vie_score();
    let mut keys = std::collections::BTreeSet::from([key(&base)]);
    let changes: [&dyn Fn(&mut Rubric); 17] = [
        &|one| one.task += "!",
        &|one| one.criteria[0].name += "_2",
        &|one| one.criteria[0].description += "!",
        &|one| one.criteria[0].weight = 1.000_000_1,
        &|one| one.criteria[0].not_applicable = Some(5.0),
        &|one| one.criteria[0].not_applicable = Some(5.000_000_1),
        &|one| one.criteria.truncate(1),
        &|one| one.scale.min = 0.000_000_1,
        &|one| one.scale.max = 10.000_000_1,
        &|one| one.scale.step = Some(0.1),
        &|one| one.combine = Combine::Mean,
        &|one| one.best = 10.000_000_1,
        &|one| one.references = 1,
        &|one| one.shows_prompt = false,
        &|one| one.image_side = 511,
        &|one| one.temperature = 0.000_000_1,
        &|one| (one.runs, one.tries) = (3, 1),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut changed = base.clone();
        change(&mut changed);
        assert!(keys.insert(key(&changed)), "change {at}");
    }
    for (runs, tries) in [(2, 3), (1, 2)] {
        assert!(keys.insert(key(&Rubric { runs, tries, ..base.clone() })), "{runs} {tries}");
    }
    // What a column is called changes no number.
    assert!(!keys.insert(key(&Rubric { name: "Mine".into(), ..base })));
}

#[cfg(feature = "openai")]
#[test]
fn the_settings_of_the_model_are_in_the_fingerprint_and_no_key_is() {
    use crate::evaluation::metric::VqaScore;
    use crate::middleware::{Balance, Limit, Retry};
    use crate::vlm::{OpenAiVlm, OpenAiVlmBuilder};

    let builder =
        || OpenAiVlm::builder("gpt").base_url("http://localhost:1/v1").api_key("sk-hidden");
    let built: [OpenAiVlmBuilder; 10] = [
        builder(),
        builder().base_url("http://localhost:2/v1"),
        builder().max_image_side(64),
        builder().jpeg_quality(10),
        builder().field("reasoning_effort", "\"low\""),
        builder().field("reasoning_effort", "\"high\""),
        builder().field("gateway_key", "\"sk-hidden\""),
        builder().max_tokens(5),
        builder().send_temperature(false),
        builder().structured_output(true),
    ];
    let mut keys = std::collections::BTreeSet::new();
    for one in built {
        let vlm = one.build().unwrap();
        let judge = Judge::new(vlm.clone(), Rubric::gpt_score()).unwrap().fingerprint();
        assert!(!judge.to_string().contains("hidden"), "{judge}");
        assert!(keys.insert(judge.key()), "{judge}");
        let vqa = VqaScore::new(vlm.clone()).fingerprint();
        assert!(keys.insert(vqa.key()), "{vqa}");
        // What asks again or later changes no reply.
        let wrapped = Limit::new(Retry::new(vlm.clone(), 3), 2).unwrap();
        let wrapped = Balance::vlms([wrapped.clone(), wrapped]).unwrap();
        assert_eq!(Judge::new(wrapped, Rubric::gpt_score()).unwrap().fingerprint(), judge);
    }
    // Neither where the key is nor that of another user.
    let other =
        builder().base_url("http://me:sk-hidden@localhost:1/v1?k=sk-hidden").api_key("sk-2");
    let other = Judge::new(other.build().unwrap(), Rubric::gpt_score()).unwrap().fingerprint();
    assert!(!keys.insert(other.key()) && !other.to_string().contains("hidden"), "{other}");
}

#[test]
fn a_rubric_that_cannot_be_read_or_reached_is_refused() {
    let two = |first: &str, second: &str| {
        Rubric::new("R", "task", [Criterion::new(first, "a"), Criterion::new(second, "b")])
    };
    let stepped = |step| Rubric {
        scale: Scale { min: 0.0, max: 1.0, step: Some(step) },
        ..two("shape", "colour")
    };
    let none = |number| {
        let criterion = Criterion::new("text", "a").with_not_applicable(number);
        Rubric { scale: Scale::whole(0, 2), ..Rubric::new("R", "task", [criterion]) }
    };
    for (rubric, expected) in [
        (stepped(0.3), "step of the rubric R: expected above 0, and whole steps from 0 to 1"),
        (stepped(0.0), "step of the rubric R"),
        (stepped(2.0), "step of the rubric R"),
        (stepped(f64::NAN), "step of the rubric R"),
        (two("shape", "Reasoning"), "found \"Reasoning\""),
        (two("shape", "score"), "names of several criteria"),
        (two("rating", "shape"), "names of several criteria"),
        (two("shape", "shape_score"), "expected no other name that is shape and score"),
        (none(0.5), "not_applicable of text of the rubric R: expected a whole number from 0 to 2"),
        (none(3.0), "not_applicable of text"),
    ] {
        let error = rubric.validate().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    for step in [0.5, 0.1, 1.0 / 3.0, 1.0] {
        stepped(step).validate().unwrap();
    }
    none(1.0).validate().unwrap();
    Rubric::new("R", "task", [Criterion::new("rating", "a")]).validate().unwrap();
    for ready in [Rubric::k_score(), Rubric::fact_ip(), Rubric::wise(), Rubric::preservation()] {
        ready.validate().unwrap();
    }
}
