//! Settings of the parts of a pipeline to the description by which its pictures are kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::System;
use crate::RagPipeline;
use crate::conditioner::{InPrompt, PromptTemplate};
use crate::critic::{Critic, GuidedCot, ZeroShotCritic};
use crate::middleware::{Balance, Limit, Retry};
use crate::retriever::{Fuse, Rerank, Retriever, Threshold, VlmReranker};
use crate::testing::{FakeEmbedder, FakeGenerator, FakeRetriever, FakeVlm, solid};
use crate::vlm::Questions;

fn retriever() -> FakeRetriever {
    FakeRetriever::new([("a quetzal", solid(8, 8, [0, 140, 70]))])
}

fn described(
    critic: impl Critic,
    retriever: impl Retriever,
    conditioner: InPrompt,
) -> (String, String) {
    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .critic(critic)
        .retriever(retriever)
        .conditioner(conditioner)
        .build()
        .unwrap();
    let system = System::pipeline("IR", pipeline);
    (system.settings_over(None), system.description())
}

#[test]
fn every_setting_of_a_part_is_in_the_description() {
    let cot = || GuidedCot::new(FakeVlm::default());
    let asked = Questions::default().with_decision("Does it show {prompt}? Yes or no.");
    let prompt = || InPrompt::new(3).unwrap();
    let zero = |template: &str, margin| {
        let concepts = ["a red car", "a blue car"];
        let made = ZeroShotCritic::with_template(FakeEmbedder, &concepts, template);
        futures::executor::block_on(made).unwrap().with_margin(margin)
    };
    let rerank = |candidates, questions: Questions| {
        let by = VlmReranker::new(FakeVlm::default()).with_questions(questions).unwrap();
        Rerank::new(retriever(), by, candidates).unwrap()
    };
    let fuse = |depth| {
        let one = || Arc::new(retriever()) as Arc<dyn Retriever>;
        Fuse::by_rank([one(), one()], depth).unwrap()
    };
    let ranked = Questions::default().with_rerank("Which one shows {caption} best?");
    let all = [
        described(cot(), retriever(), prompt()),
        described(cot().with_temperatures([0.0]).unwrap(), retriever(), prompt()),
        described(cot().with_temperatures([1e-9]).unwrap(), retriever(), prompt()),
        described(cot().with_questions(asked).unwrap(), retriever(), prompt()),
        described(zero("a photo of {concept}", 0.1), retriever(), prompt()),
        described(zero("a photo of {concept}", 0.2), retriever(), prompt()),
        described(zero("{concept}", 0.1), retriever(), prompt()),
        described(cot(), retriever(), InPrompt::new(2).unwrap()),
        described(cot(), retriever(), prompt().with_mark("<{n}>")),
        described(cot(), retriever(), prompt().with_template(PromptTemplate::ThisItem).unwrap()),
        described(cot(), Threshold::new(retriever(), 0.2).unwrap(), prompt()),
        described(cot(), rerank(4, Questions::default()), prompt()),
        described(cot(), rerank(5, Questions::default()), prompt()),
        described(cot(), Threshold::new(rerank(5, ranked), 0.2).unwrap(), prompt()),
        described(cot(), Threshold::new(rerank(5, Questions::default()), 0.2).unwrap(), prompt()),
        described(cot(), fuse(4), prompt()),
        described(cot(), fuse(5), prompt()),
        described(cot(), fuse(4).with_weights([1.0, 0.5]).unwrap(), prompt()),
    ];
    let keys: BTreeSet<&String> = all.iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), all.len(), "{all:#?}");
    // What asks again or later changes no picture, and members that are set alike are one.
    let wrapped = Limit::new(Retry::new(cot(), 3), 2).unwrap();
    let wrapped = Balance::critics([wrapped.clone(), wrapped]).unwrap();
    assert_eq!(described(wrapped, retriever(), prompt()), all[0]);
    let other = cot().with_temperatures([0.0]).unwrap();
    let mixed = described(Balance::critics([cot(), other]).unwrap(), retriever(), prompt());
    assert!(!keys.contains(&mixed.0), "{}", mixed.1);
}

#[cfg(feature = "openai")]
#[test]
fn every_setting_of_a_remote_generator_is_in_the_description_and_no_key_is() {
    use crate::generator::{GeminiImages, Generator, OpenAiImages, SdServer};

    let key = |generator: &dyn Generator| {
        let told = format!("{generator:#}");
        assert!(!told.contains("hidden"), "{told}");
        told
    };
    let url = "http://localhost:1/v1";
    let images = || OpenAiImages::builder("gpt-image-1").base_url(url).api_key("hidden");
    let gemini = || GeminiImages::builder("gemini-2.5-flash-image").base_url(url).api_key("hidden");
    let server = || SdServer::builder().base_url(url).api_key("hidden");
    let all = [
        key(&images().build().unwrap()),
        key(&images().base_url("http://localhost:2/v1").build().unwrap()),
        key(&images().quality("low").build().unwrap()),
        key(&images().field("gateway", "\"hidden\"").build().unwrap()),
        key(&images().input_fidelity("high").build().unwrap()),
        key(&gemini().build().unwrap()),
        key(&gemini().aspect_ratio("16:9").build().unwrap()),
        key(&gemini().jpeg_quality(50).build().unwrap()),
        key(&server().build().unwrap()),
        key(&server().sampler("euler").build().unwrap()),
        key(&server().lora("bird", 0.5).build().unwrap()),
        key(&server().ip_adapter_strength(0.5).build().unwrap()),
        key(&server().ip_adapter_strength(0.500_000_1).build().unwrap()),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:#?}");
    let other = images().api_key("another").build().unwrap();
    assert_eq!(key(&other), all[0]);
}
