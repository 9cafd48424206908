//! The page of a study in a browser: what is clicked is kept, exported and analysed.

#[path = "support/browser.rs"]
mod browser;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use futures::executor::block_on;
use imagerag::Image;
use imagerag::evaluation::dataset::{Class, Dataset, RealImage};
use imagerag::evaluation::experiment::Results;
use imagerag::evaluation::statistics::Resampling;
use imagerag::evaluation::study::{Study, StudyFolder, StudyKind, analyse};
use imagerag::reference::Picture;
use serde_json::{Value, json};

const BIRDS: [&str; 6] =
    ["black-footed albatross", "groove-billed ani", "painted bunting", "hoopoe", "quetzal", "kiwi"];

/// A disc on a ground, with a smaller one in it where `marked`.
fn drawing(side: u32, bird: usize, marked: bool) -> Image {
    let hue = |shift: usize| 60 + ((bird * 67 + shift * 41) % 170) as u8;
    let (ground, body) = ([hue(1), hue(4), 220], [hue(2), hue(6), hue(3)]);
    let pixel = |i: u32| {
        let at = |place: u32, center: f32| place as f32 / side as f32 - center;
        let within = |x: f32, y: f32, radius: f32| {
            at(i % side, x).powi(2) + at(i / side, y).powi(2) < radius * radius
        };
        match (within(0.5, 0.55, 0.3), marked && within(0.6, 0.45, 0.06)) {
            (_, true) => [20, 20, 30],
            (true, false) => body,
            (false, false) => ground,
        }
    };
    Image::new(side, side, (0..side * side).flat_map(pixel).collect::<Vec<u8>>()).unwrap()
}

/// A study of two systems on six birds.
fn study(folder: &Path, study: &Study) -> StudyFolder {
    let mut set = Dataset::new("Birds");
    let mut pictures = Vec::new();
    for (bird, name) in BIRDS.iter().enumerate() {
        for (s, system) in ["Plain", "Plain with references"].iter().enumerate() {
            let (file, side) = (format!("{bird}-{s}.png"), [256, 320][s]);
            drawing(side, bird, s == 1).save(folder.join(&file)).unwrap();
            pictures.push(json!({
                "system": system, "settings": "x", "dataset": "Birds", "item": name, "seed": 0,
                "prompt": format!("A photo of a {name}"), "class": name, "category": null,
                "elapsed": 1.0,
                "ended": {"drawn": {
                    "picture": {"file": file, "hash": file, "width": side, "height": side},
                    "draft": null, "references": [], "stop": null, "trace": null,
                }},
            }));
        }
        let bytes = drawing(300, bird, true).encode_png().unwrap();
        let mut class = Class::new(*name, *name);
        let mut real = RealImage::new(format!("{name}.png"), Picture::bytes(bytes));
        real.metadata.author = Some("A. Photographer".into());
        real.metadata.license = Some("CC-BY-4.0".into());
        class.images.push(real);
        set.classes.push(class);
    }
    let results: Results = serde_json::from_value(json!({
        "folder": folder,
        "systems": [
            {"name": "Plain", "settings": "x", "base": null, "description": ""},
            {"name": "Plain with references", "settings": "x", "base": "Plain", "description": ""},
        ],
        "datasets": [], "metrics": [], "pictures": pictures, "scores": [],
    }))
    .unwrap();
    let (out, key) = (folder.join(&study.id), folder.join(format!("{}.csv", study.id)));
    block_on(study.write(&results, &[set], out, key)).unwrap()
}

/// The body of the next POST to a port of this machine, which is answered by "fine".
fn received() -> (u16, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = sender.send(body(stream));
        }
    });
    (port, receiver)
}

/// Head and body of a request.
fn body(stream: TcpStream) -> (String, String) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let reply = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfine";
    reader.into_inner().write_all(reply.as_bytes()).unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn participants_compare_rate_export_and_send() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |id: &str, kind| {
        let mut study = Study::new(id, kind);
        (study.items_per_participant, study.checks, study.seed) = (4, 1, 5);
        study
    };
    let comparative = study(folder.path(), &settings("compare", StudyKind::Comparative));
    let absolute = study(folder.path(), &settings("rate", StudyKind::Absolute));
    let (port, sent) = received();
    let mut sending = settings("send", StudyKind::Comparative);
    sending.post_to = Some(format!("http://127.0.0.1:{port}/answers"));
    let sending = study(folder.path(), &sending);
    let downloads = folder.path().join("downloads");
    let keys: Vec<&PathBuf> = vec![&comparative.key];
    let arguments = [&comparative.folder, &absolute.folder, &sending.folder, &downloads, keys[0]];
    browser::check("check_study.py", &arguments);
    if !downloads.exists() {
        return; // There is no browser, which was told.
    }

    // Both participants chose as the script says: the method for the first question, and so on.
    let resampling = Resampling::default().with_resamples(100);
    for name in ["one.json", "one.csv", "one.txt"] {
        let analysis = analyse(&comparative.key, &[downloads.join(name)], resampling).unwrap();
        assert!(
            analysis.left_out.is_empty() && analysis.dropped.is_empty(),
            "{name}: {analysis:?}"
        );
        assert_eq!(
            (analysis.participants, analysis.partial, analysis.answers),
            (1, 0, 12),
            "{name}"
        );
        let rates: Vec<f64> = analysis.preferences.iter().map(|p| p.rate).collect();
        assert_eq!(rates, [1.0, 0.0, 1.0], "{name}");
    }
    let analysis = analyse(&absolute.key, &[downloads.join("rate.json")], resampling).unwrap();
    assert_eq!((analysis.participants, analysis.answers), (1, 4), "{analysis:?}");

    let (head, body) = sent.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(
        head.starts_with("POST /answers ") && !head.to_ascii_lowercase().contains("referer"),
        "{head}"
    );
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["participant"], &body["study"]), (&json!("3"), &json!("send")));
    assert_eq!(body["answers"].as_array().unwrap().len(), 15);
    fs::write(downloads.join("sent.json"), body.to_string()).unwrap();
    let analysis = analyse(&sending.key, &[downloads.join("sent.json")], resampling).unwrap();
    assert_eq!((analysis.participants + analysis.dropped.len(), analysis.left_out.len()), (1, 0));
}
