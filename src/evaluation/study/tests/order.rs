//! What the folder of a study tells of who drew what, and what the key knows.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;

use super::super::key::{KeyRow, Role};
use super::super::published::{self, Published};
use super::super::{Study, StudyKind};
use super::{SYSTEMS, World, study};
use crate::Image;

#[test]
fn the_order_of_names_tells_no_system() {
    let study = Study { salt: Some("s".into()), ..study(StudyKind::Comparative) };
    let (_, published, key) = World::new(12).written(&study);
    let is_second = |row: &&KeyRow| {
        let is_second = |screen: &published::Screen| screen.pictures.get(1) == Some(&row.picture);
        row.role == Role::Method && published.screens.iter().any(is_second)
    };
    let second = key.iter().filter(is_second).count();
    assert!((2..=9).contains(&second), "{second} of 11");
}

#[test]
fn nothing_public_is_in_the_order_of_making() {
    let read = |salt: &str| {
        let absolute = Study { checks: 2, salt: Some(salt.into()), ..study(StudyKind::Absolute) };
        let (_, published, key) = World::new(12).written(&absolute);
        let row = |screen: &published::Screen| {
            key.iter().find(|row| row.screen == screen.item).unwrap().clone()
        };
        let rows: Vec<KeyRow> = published.screens.iter().map(row).collect();
        (published, rows)
    };
    let (published, rows) = read("s");
    assert!(published.screens.is_sorted_by_key(|screen| &screen.item));
    let systems: Vec<&str> = rows.iter().map(|row| row.system.as_str()).collect();
    let first_check = rows.iter().position(|row| row.role.is_check()).unwrap();
    assert!(rows[first_check..].iter().any(|row| !row.role.is_check()), "{systems:?}");
    let rated: Vec<&&str> = systems.iter().filter(|system| !system.is_empty()).collect();
    assert!(rated.chunks(2).any(|pair| pair[0] == pair[1]), "{rated:?}");
    // Whoever knows everything but the salt cannot draw the lists again.
    let whose = |(published, rows): &(Published, Vec<KeyRow>)| -> Vec<(String, String)> {
        let list = published.lists[0].iter().map(|shown| &rows[shown.screen]);
        list.map(|row| (row.system.clone(), row.item.clone())).collect()
    };
    assert_ne!(whose(&read("s")), whose(&read("t")));
}

#[test]
fn equal_pictures_are_different_files_that_pack_equally_badly() {
    let mut world = World::new(6);
    // Two methods over one base, whose picture is on two screens then.
    let mut results = serde_json::to_value(&world.results).unwrap();
    let mut system = results["systems"][1].clone();
    system["name"] = "Third".into();
    results["systems"].as_array_mut().unwrap().push(system);
    let pictures = results["pictures"].as_array_mut().unwrap();
    let third = pictures.iter().filter(|picture| picture["system"] == SYSTEMS[1]).cloned();
    let third: Vec<_> = third.collect();
    pictures.extend(third.into_iter().map(|mut picture| {
        picture["system"] = "Third".into();
        picture
    }));
    world.results = serde_json::from_value(results).unwrap();
    let (written, published, key) = world.written(&study(StudyKind::Comparative));
    assert_eq!(published.screens.iter().filter(|s| s.told.is_none()).count(), written.items + 5);
    let read =
        |name: &str| fs::read(written.folder.join("pictures").join(format!("{name}.jpg"))).unwrap();
    let files: BTreeSet<Vec<u8>> = key.iter().map(|row| read(&row.picture)).collect();
    assert_eq!(files.len(), key.len(), "no two files are equal");
    let bases: Vec<&KeyRow> =
        key.iter().filter(|row| row.role == Role::Base && row.item == "003").collect();
    let [one, two] = [0, 1].map(|i| read(&bases[i].picture));
    assert_eq!(Image::decode(&one).unwrap(), Image::decode(&two).unwrap());
    assert_eq!(one.len(), two.len());
    // And nobody sees both: there are prompts enough.
    for list in &published.lists {
        let prompts: Vec<&str> = list
            .iter()
            .filter(|shown| {
                let item = &published.screens[shown.screen].item;
                key.iter().any(|row| row.screen == *item && !row.role.is_check())
            })
            .map(|shown| published.screens[shown.screen].prompt.as_str())
            .collect();
        assert_eq!(prompts.iter().collect::<BTreeSet<_>>().len(), prompts.len(), "{prompts:?}");
    }
}

#[test]
fn the_key_knows_every_list_and_question() {
    for kind in [StudyKind::Comparative, StudyKind::Absolute] {
        let (_, published, key) = World::new(6).written(&study(kind));
        for (number, list) in (1..).zip(&published.lists) {
            for shown in list {
                let screen = &published.screens[shown.screen];
                for (i, name) in screen.pictures.iter().enumerate() {
                    let row = key.iter().find(|row| row.picture == *name).unwrap();
                    let is_left = (i == 1) == shown.swapped;
                    assert!(row.lists().any(|of| of == (number, is_left)), "{row:?}");
                    let of_check = row.role.is_check().then_some(1);
                    let questions: Vec<&str> = row.questions().collect();
                    let n = of_check.unwrap_or(published.questions.len());
                    assert_eq!(questions, published.questions[..n]);
                }
            }
        }
    }
}

#[test]
fn the_title_is_that_of_the_kind() {
    let title = |study: Study| World::new(4).written(&study).1.title;
    let read: Study = serde_json::from_value(json!({"kind": "absolute"})).unwrap();
    assert_eq!(title(read.clone()), "What do these images show?");
    assert_eq!(title(Study { kind: StudyKind::Comparative, ..read }), "Which image is better?");
    assert_eq!(title(Study { title: "Birds".into(), ..study(StudyKind::Absolute) }), "Birds");
}
