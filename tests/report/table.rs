//! Tables and their texts.

use std::fs;

use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::report::{Comparison, PaperNames, Report, Table, TableOptions};
use serde_json::{Value, json};

use crate::results::HOSTILE;

/// Results of two systems, the second over the first, with these CLIP scores by class; none was not
/// drawn.
fn results(systems: [(&str, &[Option<f64>]); 2], higher_is_better: bool) -> Results {
    let fingerprint = json!({ "formula": "f", "model": "", "weights": "", "preprocessing": "",
        "settings": "", "version": 1 });
    let (mut pictures, mut scores) = (Vec::new(), Vec::new());
    for (name, values) in systems {
        for (class, value) in
            values.iter().enumerate().filter_map(|(n, value)| Some((n, (*value)?)))
        {
            let picture = json!({ "file": "a.png", "hash": format!("{name}{class}"), "width": 1, "height": 1 });
            pictures.push(json!({ "system": name, "settings": name, "dataset": "CUB", "item": format!("i{class}"),
                "seed": 0, "prompt": "a", "class": format!("c{class}"), "category": null, "elapsed": 0.0,
                "ended": { "drawn": { "picture": picture, "draft": null, "references": [], "stop": null,
                "trace": null } } }));
            scores.push(
                json!({ "picture": format!("{name}{class}"), "metric": "m", "dataset": "CUB",
                "item": format!("i{class}"), "subject": "", "outcome": { "value": value } }),
            );
        }
    }
    let system = |name: &str, base: Value| json!({ "name": name, "settings": name, "base": base, "description": "" });
    let [(first, values), (second, _)] = systems;
    from(
        json!({ "folder": "", "systems": [system(first, json!(null)), system(second, json!(first))],
        "datasets": [{ "name": "CUB", "classes": {}, "items": values.len(), "seeds": [0], "license": null,
        "notes": [] }], "metrics": [{ "key": "m", "name": "CLIP", "fingerprint": fingerprint,
        "higher_is_better": higher_is_better, "decimals": 3 }], "pictures": pictures, "scores": scores }),
    )
}

fn from(json: Value) -> Results {
    serde_json::from_value(json).unwrap()
}

const BASE: &[Option<f64>] = &[Some(0.2), Some(0.22), Some(0.24), Some(0.3), None];
const BETTER: &[Option<f64>] = &[Some(0.21), Some(0.24), Some(0.27), None, None];

#[test]
fn the_best_is_bold_and_what_is_missing_is_counted() {
    let table =
        Table::of(&results([("SDXL", BASE), ("IR-SD", BETTER)], true), &TableOptions::default());
    let markdown = table.to_markdown();
    let expected = "**CUB**\n\n| System | CLIP ↑ |\n|---|---:|\n\
        | SDXL | **0.240** ± 0.022 (1 missing) |\n| IR-SD | **0.240** ± 0.017 (2 missing) |\n";
    assert_eq!(markdown, expected);
    // Equal to what is shown, both are best; by less than that, too.
    let close = &[Some(0.2404)];
    let table = Table::of(
        &results([("SDXL", &[Some(0.24)]), ("IR-SD", close)], true),
        &TableOptions::default(),
    );
    assert!(table.rows.iter().all(|row| row.cells[0].best));
    let far = &[Some(0.2406)];
    let table = Table::of(
        &results([("SDXL", &[Some(0.24)]), ("IR-SD", far)], true),
        &TableOptions::default(),
    );
    assert_eq!([false, true], [0, 1].map(|row: usize| table.rows[row].cells[0].best));
    // One class has no standard error, and lower can be better.
    assert!(table.to_markdown().contains("| IR-SD | **0.241** |"));
    let table = Table::of(
        &results([("SDXL", &[Some(0.24)]), ("IR-SD", far)], false),
        &TableOptions::default(),
    );
    assert!(table.to_markdown().contains("| SDXL | **0.240** |\n"), "{}", table.to_markdown());
}

#[test]
fn differences_are_of_the_same_items() {
    let options = TableOptions::default().with_differences();
    let results = results([("SDXL", BASE), ("IR-SD", BETTER)], true);
    let table = Table::of(&results, &options);
    let difference = table.rows[1].cells[0].difference.unwrap();
    // 0.01, 0.02 and 0.03; of the 8 ways to flip their signs, 2 give as much.
    assert!((difference.paired.mean.unwrap() - 0.02).abs() < 1e-12);
    assert_eq!((difference.paired.n, difference.p_value), (3, Some(0.25)));
    assert!(
        table.to_markdown().contains("(2 missing)<br>▲ +0.020 (p = 0.250) |"),
        "{}",
        table.to_markdown()
    );
    assert_eq!(table.rows[0].cells[0].difference, None);
    assert_eq!(table.rows[1].base.as_deref(), Some("SDXL"));
    // Against one that is chosen.
    let table = Table::of(&results, &TableOptions::default().with_base("IR-SD"));
    assert_eq!(table.rows[0].base.as_deref(), Some("IR-SD"));
    assert!(table.to_markdown().contains("▼ -0.020"), "{}", table.to_markdown());
}

#[test]
fn csv_has_the_numbers_as_they_are() {
    let options = TableOptions::default().with_differences();
    let table = Table::of(&results([("SD,XL", BASE), ("IR-SD", BETTER)], true), &options);
    let csv = table.to_csv();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().unwrap().clone();
    assert_eq!(head.len(), 2 + 8 + 3);
    assert_eq!(&head[2], "CUB CLIP mean");
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!((&rows[0][0], &rows[0][1], &rows[1][1]), ("SD,XL", "", "SD,XL"));
    let number = |row: usize, name: &str| {
        let at = head.iter().position(|head| head == name).unwrap();
        rows[row][at].parse::<f64>().unwrap()
    };
    assert!((number(1, "CUB CLIP mean") - 0.24).abs() < 1e-12);
    assert_eq!(number(1, "CUB CLIP missing"), 2.0);
    assert_eq!(number(1, "CUB CLIP difference p"), 0.25);
}

#[test]
fn names_are_text_in_every_format() {
    let results = results([(HOSTILE, BASE), ("IR|SD_1 & 50%", BETTER)], true);
    let table = Table::of(&results, &TableOptions::default());
    let markdown = table.to_markdown();
    assert!(markdown.contains("| IR\\|SD\\_1 &amp; 50% |"), "{markdown}");
    assert!(!markdown.contains('<') && !markdown.contains('\u{202e}'), "{markdown}");
    // Each line has the same number of cells.
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(markdown.lines().skip(2).all(|line| bars(line) == 3), "{markdown}");
    let latex = table.to_latex();
    assert!(
        latex.contains("IR\\textbar{}SD\\_1 \\& 50\\% & $\\mathbf{0.240} \\pm 0.017$"),
        "{latex}"
    );
    assert!(latex.contains("\\textless{}/script\\textgreater{}"), "{latex}");
    assert!(!latex.contains('\u{202e}'));
    // Two rows in the body, each ended once.
    assert_eq!(latex.matches(" \\\\\n").count(), 4, "{latex}");
}

#[test]
fn what_is_out_of_date_counts_for_nothing() {
    let mut json =
        serde_json::to_value(results([("SDXL", BASE), ("IR-SD", BETTER)], true)).unwrap();
    let mut old = json["pictures"][0].clone();
    old["settings"] = "former".into();
    json["pictures"].as_array_mut().unwrap().push(old);
    // A score that was written again: the last counts.
    let mut again = json["scores"][0].clone();
    again["outcome"] = json!({ "value": 0.6 });
    json["scores"].as_array_mut().unwrap().push(again);
    let table = Table::of(&from(json.clone()), &TableOptions::default());
    assert!((table.rows[0].cells[0].summary.mean.unwrap() - 0.34).abs() < 1e-12);
    assert_eq!(table.rows[0].cells[0].summary.missing, 1);
    // The same system with both settings: rows that can be told apart.
    let mut former = json["systems"][0].clone();
    former["settings"] = "former".into();
    json["systems"].as_array_mut().unwrap().push(former);
    let table = Table::of(&from(json), &TableOptions::default());
    let names: Vec<_> = table.rows.iter().map(|row| row.system.as_str()).collect();
    assert_eq!(names, ["SDXL (SDXL)", "IR-SD", "SDXL (former)"]);
    assert_eq!(table.rows[2].cells[0].summary.n, 1);
}

#[test]
fn nothing_at_all_is_a_table() {
    let table = Table::of(&Results::default(), &TableOptions::default());
    assert_eq!(table.to_markdown(), "| System |\n|---|\n");
    assert_eq!(table.to_csv(), "system\n");
    assert!(table.to_latex().contains("\\begin{tabular}{l}"));
    let none = Table::of(&results([("SDXL", &[]), ("IR-SD", &[])], true), &TableOptions::default());
    assert!(none.to_markdown().contains("| SDXL | – |"), "{}", none.to_markdown());
}

/// The metric "CLIP" twice, of these models, with the same scores.
fn with_two_clips(models: [&str; 2]) -> Results {
    let mut json =
        serde_json::to_value(results([("SDXL", BASE), ("IR-SD", BETTER)], true)).unwrap();
    let mut metrics = vec![json["metrics"][0].clone(), json["metrics"][0].clone()];
    for ((metric, model), key) in metrics.iter_mut().zip(models).zip(["m", "0123456789"]) {
        (metric["fingerprint"]["model"], metric["key"]) = (model.into(), key.into());
    }
    json["metrics"] = metrics.into();
    let mut scores = json["scores"].as_array().unwrap().clone();
    for score in json["scores"].as_array().unwrap() {
        let mut score = score.clone();
        score["metric"] = "0123456789".into();
        scores.push(score);
    }
    json["scores"] = scores.into();
    from(json)
}

#[test]
fn metrics_of_one_name_are_told_apart_by_their_models_and_stand_beside_the_papers() {
    let table = Table::of(&with_two_clips(["ViT-B-32", "ViT-L-14"]), &TableOptions::default());
    let names: Vec<_> = table.columns.iter().map(|column| column.metric.as_str()).collect();
    assert_eq!(names, ["CLIP (ViT-B-32)", "CLIP (ViT-L-14)"]);
    let compared = |names: &PaperNames| {
        let all = Comparison::all(&table, names);
        let rows = all.iter().find(|comparison| comparison.table == "table 2").map(|it| &it.rows);
        let words = |row: &imagerag::evaluation::report::ComparisonRow| {
            format!("{} {}", row.paper_system, row.metric)
        };
        rows.into_iter().flatten().map(words).collect::<Vec<_>>()
    };
    let expected = [
        "SDXL CLIP (ViT-B-32)",
        "SDXL CLIP (ViT-L-14)",
        "ImageRAG-SD CLIP (ViT-B-32)",
        "ImageRAG-SD CLIP (ViT-L-14)",
    ];
    assert_eq!(compared(&PaperNames::default()), expected);
    // Names can be given for one of them, as the table has it, or for both.
    let mut given = PaperNames::default();
    given.metrics.insert("CLIP (ViT-B-32)".into(), "none of the paper's".into());
    assert_eq!(compared(&given), [expected[1], expected[3]]);
    given.metrics = [("CLIP".into(), "none of the paper's".into())].into();
    assert!(compared(&given).is_empty());
    // Where the models say nothing, the keys tell.
    for models in [["ViT-B-32", "ViT-B-32"], ["", "ViT-L-14"]] {
        let table = Table::of(&with_two_clips(models), &TableOptions::default());
        assert_eq!(table.columns[1].metric, "CLIP (01234567)", "{models:?}");
        assert_eq!(table.columns[1].metric_name, "CLIP");
    }
}

#[test]
fn systems_of_one_name_stand_beside_the_papers_and_in_figure_16() {
    let folder = tempfile::tempdir().unwrap();
    let mut json =
        serde_json::to_value(results([("SDXL", BASE), ("IR-SD @ 10", BETTER)], true)).unwrap();
    let systems = json["systems"].as_array_mut().unwrap();
    for (name, settings) in
        [("IR-SD @ 10", "12345678"), ("IR-SD @ 90", "23456789"), ("SDXL", "87654321")]
    {
        systems
            .push(json!({ "name": name, "settings": settings, "base": "SDXL", "description": "" }));
    }
    let pictures = json["pictures"].as_array_mut().unwrap();
    for mut picture in pictures.clone() {
        if picture["system"] == "IR-SD @ 10" {
            picture["settings"] = "12345678".into();
            pictures.push(picture.clone());
            (picture["system"], picture["settings"]) = ("IR-SD @ 90".into(), "23456789".into());
            pictures.push(picture);
        }
    }
    let results = from(json);
    let table = Table::of(&results, &TableOptions::default());
    let compared = Comparison::all(&table, &PaperNames::default());
    assert_eq!(compared[0].rows[0].system, "SDXL (SDXL)");
    assert_eq!(compared[0].rows[0].paper_system, "SDXL");
    // The hash behind a name is no size.
    Report::of(&results).write(folder.path()).unwrap();
    let plot = fs::read_to_string(folder.path().join("plots/clip-on-cub-by-retrieval-set.svg"));
    let plot = plot.unwrap();
    assert!(plot.contains("IR-SD, 10 images: ") && plot.contains("IR-SD, 90 images: "), "{plot}");
    assert!(!plot.contains("12,345,678"), "{plot}");
}

#[test]
fn no_name_is_a_formula_in_a_spreadsheet() {
    for name in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\u{202e}=1", " =1"] {
        let csv = Table::of(
            &results([(name, BASE), ("IR-SD", BETTER)], true),
            &TableOptions::default().with_differences(),
        )
        .to_csv();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let fields: Vec<_> = reader.records().map(Result::unwrap).collect();
        // The system, and the base of the other.
        for field in [&fields[0][0], &fields[1][1]] {
            assert!(
                field.starts_with('\'')
                    && field.ends_with(name.trim_start_matches(['\t', '\u{202e}'])),
                "{field:?}"
            );
            assert!(!field.contains(['\t', '\u{202e}']), "{field:?}");
        }
        // Numbers are numbers.
        assert_eq!(fields[0][2].parse::<f64>().unwrap(), 0.24);
    }
}
