//! The pages in a browser.

use std::fs;
use std::path::Path;

use futures::StreamExt;
use futures::executor::block_on;
use imagerag::conditioner::InPrompt;
use imagerag::evaluation::report::{Report, TableOptions};
use imagerag::evaluation::statistics::Resampling;
use imagerag::pipeline::{Event, RagConfig, TracePage};
use imagerag::testing::{FakeGenerator, FakeRetriever, FakeVlm};
use imagerag::vlm::ChatRequest;
use imagerag::{Image, Price, RagError, RagOutcome, RagPipeline, RagRequest};

use crate::browser;
use crate::results::{HOSTILE, World, gradient};

/// A report with few resamples: what is tested is the page.
fn report(world: &World, folder: &Path, inline: usize) -> std::path::PathBuf {
    let results = world.write(&folder.join("run"));
    let mut options = TableOptions::default().with_differences();
    options.resampling = Resampling::default().with_resamples(50);
    let title = format!("Birds{}", world.suffix);
    let report = Report::of(&results).with_title(title).with_table_options(options);
    report.with_inline_pictures(inline).write(folder.join("report")).unwrap();
    folder.join("report/report.html")
}

#[test]
fn a_report_sorts_filters_searches_and_shows_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let page = report(&World::new(40), folder.path(), 400);
    browser::check("check_report.py", &[page]);
}

#[test]
fn long_names_and_prompts_leave_room_and_everything_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut json = serde_json::to_value(World::new(14).write(&folder.path().join("run"))).unwrap();
    json["metrics"][0]["name"] = "CLIP similarity of a picture and its prompt".into();
    for record in json["pictures"].as_array_mut().unwrap() {
        match record["item"].as_str().unwrap() {
            "000" => record["prompt"] = "a quetzal on a branch ".repeat(500).into(),
            "001" => record["prompt"] = "".into(),
            _ => {}
        }
    }
    // IR-O is better than its base by less than is shown, and in ImageNet by more.
    for score in json["scores"].as_array_mut().unwrap() {
        let value = score["outcome"]["value"].as_f64();
        if let Some(value) =
            value.filter(|_| score["metric"] == "clip" && score["dataset"] == "CUB")
        {
            score["outcome"]["value"] = (0.2 + value / 1e6).into();
        }
    }
    let name = "ImageRAG with a name that is as long as somebody's patience allows";
    let results = json.to_string().replace("\"PixArt-Σ\"", &format!("\"{name}\""));
    let results = serde_json::from_str(&results).unwrap();
    Report::of(&results).write(folder.path().join("report")).unwrap();
    browser::check("check_layout.py", &[folder.path().join("report/report.html")]);
}

#[test]
fn nothing_of_the_data_breaks_out_of_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let world = World { suffix: HOSTILE, ..World::new(9) };
    let page = report(&world, folder.path(), 400);
    let html = fs::read_to_string(&page).unwrap();
    assert!(!html.contains("<img src=x") && !html.contains('\u{202e}'));
    browser::check("check_hostile.py", &[page]);
}

/// The images of the rounds of a request, and its result.
type Run = (Vec<(usize, Image)>, Result<RagOutcome, RagError>);

fn run(vlm: FakeVlm, prompt: &str, source: &str) -> Run {
    let pipeline = RagPipeline::builder()
        .generator(FakeGenerator::new())
        .vlm(vlm)
        .retriever(FakeRetriever::new([
            (source, gradient(300, 3)),
            ("a branch", gradient(64, 4)),
            ("a red car", gradient(64, 5)),
        ]))
        .conditioner(InPrompt::new(3).unwrap())
        .config(RagConfig::default().with_max_rounds(2).with_threshold(0.3))
        .build()
        .unwrap();
    let (mut images, mut events) =
        (Vec::new(), pipeline.stream(RagRequest::new(prompt).with_size(256, 192)));
    while let Some(event) = block_on(events.next()) {
        match event {
            Event::Image { round, image } => images.push((round, image)),
            Event::Done(result) => return (images, *result),
            _ => {}
        }
    }
    unreachable!("the last event is Done");
}

#[test]
fn a_trace_shows_every_stage_and_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let replies = [
        "no",
        "a quetzal",
        "a quetzal on a branch",
        "no",
        "dawn",
        "a branch",
        "no",
        "dawn",
        "a branch",
    ];
    let (images, result) = run(FakeVlm::new(replies), "a quetzal at dawn", "a quetzal on a branch");
    let outcome = result.unwrap();
    let price = |_: &str| Price { per_million_prompt_tokens: 2.5, ..Price::default() };
    let page = TracePage::from(&outcome).with_images(images).with_prices(price);
    let path = folder.path().join("trace.html");
    page.save(&path).unwrap();
    browser::check(
        "check_trace.py",
        &[path.as_os_str(), "done".as_ref(), outcome.trace.prompt.as_ref()],
    );
}

#[test]
fn a_trace_of_an_error_keeps_what_was_done_before() {
    let folder = tempfile::tempdir().unwrap();
    let replies = ["no", "a quetzal"];
    let (_, result) = run(FakeVlm::new(replies), "a quetzal at dawn", "a quetzal");
    let error = result.unwrap_err();
    let path = folder.path().join("trace.html");
    TracePage::from(&error).save(&path).unwrap();
    browser::check(
        "check_trace.py",
        &[path.as_os_str(), "failed".as_ref(), "a quetzal at dawn".as_ref()],
    );
}

#[test]
fn nothing_of_a_trace_breaks_out_of_its_page() {
    let folder = tempfile::tempdir().unwrap();
    let prompt = format!("a quetzal {HOSTILE}");
    let source = format!("javascript:document.title='broken'//{HOSTILE}");
    let vlm = FakeVlm::answering(|request: &ChatRequest| {
        let question = &request.messages[request.messages.len() - 1].text;
        Ok(if question.contains("yes or no") { "no" } else { HOSTILE })
    });
    let (images, result) = run(vlm, &prompt, &source);
    let outcome = result.unwrap();
    let html = TracePage::from(&outcome).with_images(images).to_html().unwrap();
    assert!(!html.contains("<img src=x") && !html.contains('\u{202e}'));
    let path = folder.path().join("trace.html");
    fs::write(&path, html).unwrap();
    browser::check("check_hostile.py", &[path]);
}
