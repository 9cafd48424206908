//! Other prompts, names, classes and images of a data set.

use futures::executor::block_on;

use super::*;
use crate::reference::Picture;

fn cub() -> Dataset {
    read(&fixture("cub")).unwrap()
}

#[test]
fn prompts_are_made_of_names() {
    let set = cub().with_prompts("a {} on a branch").unwrap();
    assert_eq!(prompts(&set)[1], "a Laysan Albatross on a branch");
    assert_eq!((set.items.len(), set.template.as_deref()), (3, Some("a {} on a branch")));
    let told = cub().with_prompts("a bird").unwrap_err().to_string();
    assert_eq!(told, "template: expected one with {} for the class's name, found a bird");
    assert!(Dataset::new("empty").with_prompts("{}").is_err());
}

#[test]
fn names_come_from_a_table_and_go_into_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.csv");
    let named = |text: &str| {
        std::fs::write(&path, text).unwrap();
        cub().with_prompts("{}!").unwrap().with_names(&path)
    };
    let set = named("id,name\r\n001,\"Albatross, black-footed\"\r\n").unwrap();
    assert_eq!(
        prompts(&set),
        ["Albatross, black-footed!", "Laysan Albatross!", "Sooty Albatross!"]
    );
    assert_eq!(prompts(&named("002,b\n").unwrap())[1], "b!");
    for (text, expected) in [
        (
            "001,a\n7,b\n",
            "expected identifiers of classes of CUB, such as 001, 002, 003, found identifiers that no class has: 1: 7 (line 2)",
        ),
        (
            "001,Albatross, black-footed\n",
            "line 1: expected an identifier and a name (in quotation marks where it has a comma), found 3 columns",
        ),
        ("001,\n", "line 1: expected an identifier and a name, found 001,"),
        ("001,a\n001,b\n", "line 2: expected each identifier once, found 001"),
    ] {
        let told = named(text).unwrap_err().to_string();
        assert!(told.ends_with(expected), "{told}");
    }
}

#[test]
fn a_sample_is_the_same_everywhere_and_part_of_a_larger_one() {
    let mut set = Dataset::new("many");
    set.classes = (0..100).map(|at| Class::new(at.to_string(), format!("kind {at}"))).collect();
    let set = set.with_prompts("{}").unwrap();
    let ids = |set: Dataset| set.classes.into_iter().map(|class| class.id).collect::<Vec<_>>();
    assert_eq!(ids(set.clone().take(3).unwrap()), ["0", "1", "2"]);
    let five = ids(set.clone().sample(5, 7).unwrap());
    let ten = ids(set.clone().sample(10, 7).unwrap());
    assert!(five.iter().all(|id| ten.contains(id)) && ten.len() == 10);
    assert!(ten.is_sorted_by_key(|id| id.parse::<u32>().unwrap()));
    assert_ne!(ids(set.clone().sample(10, 8).unwrap()), ten);
    let all = set.clone().sample(1000, 7).unwrap();
    assert_eq!((all.classes.len(), all.items.len()), (100, 100));
    has_note(&all, "1000 classes or prompts were asked for, 100 found");
    assert!(set.take(0).is_err());
    let mut list = Dataset::new("list");
    list.items = (0..9).map(|at| Item::new(at.to_string(), "a")).collect();
    assert_eq!(
        (list.clone().take(4).unwrap().items.len(), list.sample(4, 1).unwrap().items.len()),
        (4, 4)
    );
}

#[test]
fn one_part_is_kept() {
    let test = cub().only_split(Split::Test).unwrap();
    assert_eq!((test.images().count(), cub().comparison_split()), (3, Some(Split::Test)));
    let imagenet = read(&fixture("imagenet")).unwrap();
    assert_eq!(imagenet.comparison_split(), Some(Split::Validation));
    assert_eq!(read(&fixture("web-dataset")).unwrap().comparison_split(), None);
    let told = imagenet.only_split(Split::Test).unwrap_err().to_string();
    assert_eq!(told, "split: expected a part of ImageNet, which has train, validation, found test");
    let mut some = cub();
    some.classes[0].images.retain(|image| image.split == Some(Split::Train));
    has_note(&some.only_split(Split::Test).unwrap(), "classes without test images: 1: 001");
}

#[test]
fn references_are_left_out_by_name_path_and_pixels() {
    let set = cub();
    let [first, second, third] = &set.classes[0].images[..] else { panic!("{set:?}") };
    let path = |image: &RealImage| image.path.as_ref().unwrap().display().to_string();
    let detour = path(second).replace("/images/", "/images/../images/");
    assert!(
        first.is_from(&path(first)) && second.is_from(&detour) && !second.is_from(&path(first))
    );
    let left = set.clone().without_images_of([first.id.clone(), detour]);
    assert_eq!(left.classes[0].images, std::slice::from_ref(third));
    has_note(&left, "images that were used otherwise: 2: images/001");
    let copy = block_on(third.picture.load()).unwrap();
    let left = block_on(set.clone().without_pictures(&[Picture::from(copy)])).unwrap();
    assert_eq!(left.classes[0].images, [first.clone(), second.clone()]);
    // What is cropped here is whole elsewhere.
    let planes = read(&fixture("aircraft")).unwrap();
    let whole = Picture::file(planes.classes[0].images[0].path.as_ref().unwrap());
    let left = block_on(planes.without_pictures(&[whole])).unwrap();
    assert_eq!(left.classes[0].images.len(), 2);
    let shards = read(&fixture("web-dataset")).unwrap();
    let source = fixture("web-dataset/mini-000000.tar").display().to_string() + "#000000000.jpg";
    assert_eq!(shards.without_images_of([source]).classes[0].images.len(), 1);
}

#[test]
fn what_cannot_be_drawn_or_reported_is_refused() {
    let told = |change: fn(&mut Dataset)| {
        let mut set = cub();
        change(&mut set);
        set.validate().unwrap_err().to_string()
    };
    assert_eq!(
        told(|set| set.classes[1].id = "001".into()),
        "classes of CUB: expected unique identifiers, found 001"
    );
    assert_eq!(
        told(|set| set.classes[1].name = " ".into()),
        "name of class 002 of CUB: expected at least one character, found nothing"
    );
    assert_eq!(
        told(|set| set.items[0].class = Some("9".into())),
        "class of item 001 of CUB: expected one of its classes, found 9"
    );
    assert_eq!(told(|set| set.items.clear()), "CUB: expected at least one item, found none");
    assert!(cub().validate().is_ok());
}
