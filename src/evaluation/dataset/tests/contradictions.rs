//! Lists that contradict themselves or each other, in every reader, to an error or a note that says where.

use std::fs;

use super::*;

/// What is done to a file of a fixture.
enum Edit {
    /// It has this text.
    Text(&'static str),
    /// This text is replaced by another one, everywhere.
    Replace(&'static str, &'static str),
    /// This is written behind it.
    Behind(&'static str),
    /// It is another one of the fixture.
    CopyOf(&'static str),
}
use Edit::{Behind, CopyOf, Replace, Text};

/// What must be said.
enum Said {
    Error(&'static str),
    Note(&'static str),
}
use Said::{Error as Refused, Note as Noted};

/// Edits the file `name` of a copy of `fixture`, and reads that.
fn check(fixture: &str, kind: DatasetKind, name: &str, edit: &Edit, said: &Said) {
    let (_folder, root) = copy(fixture);
    let file = root.join(name);
    match edit {
        Text(text) => fs::write(&file, text).unwrap(),
        Replace(old, new) => {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains(old), "{fixture}/{name}: {old}\n{text}");
            fs::write(&file, text.replace(old, new)).unwrap();
        }
        Behind(more) => {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, format!("{}\n{more}\n", text.trim_end())).unwrap();
        }
        CopyOf(other) => {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::copy(root.join(other), &file).unwrap();
        }
    }
    match (said, read_as(kind, &root)) {
        (Refused(words), Err(error)) => {
            let told = error.chain().to_string();
            assert!(told.contains(words), "{fixture}/{name}: {words}\n{told}");
        }
        (Noted(words), Ok(dataset)) => has_note(&dataset, words),
        (_, Ok(dataset)) => panic!("{fixture}/{name} was read: {:?}", dataset.notes),
        (_, Err(error)) => panic!("{fixture}/{name}: {}", error.chain()),
    }
}

#[test]
fn every_reader_tells_contradictions() {
    use DatasetKind::*;
    #[rustfmt::skip]
    let rows: &[(&str, DatasetKind, &str, Edit, Said)] = &[
        ("cub", Cub, "CUB_200_2011/images.txt", Behind("1 002.Laysan_Albatross/other.jpg"),
            Refused("line 10: expected each number once, found 1, of which line 1 of images.txt speaks too")),
        ("cub", Cub, "CUB_200_2011/images.txt", Text(""),
            Refused("images.txt: lines: expected at least one, found none")),
        ("cub", Cub, "CUB_200_2011/classes.txt", Text("\n\n"),
            Refused("classes.txt: lines: expected at least one")),
        ("cub", Cub, "CUB_200_2011/image_class_labels.txt", Behind("1 2"),
            Refused("line 10: expected each image once, found 1, of which line 1")),
        ("cub", Cub, "CUB_200_2011/image_class_labels.txt", Behind("4711 1"),
            Noted("entries of images that images.txt does not have: 1: line 10 of image_class_labels")),
        ("cub", Cub, "CUB_200_2011/train_test_split.txt", Behind("1 0"),
            Refused("line 10: expected each image once, found 1, of which line 1")),
        ("cub", Cub, "CUB_200_2011/train_test_split.txt", Text(""),
            Refused("train_test_split.txt: lines: expected at least one, found none")),
        ("cub", Cub, "CUB_200_2011/bounding_boxes.txt", Behind("2 1 1 1 1"),
            Refused("line 10: expected each image once, found 2")),
        ("cub", Cub, "CUB_200_2011/bounding_boxes.txt", Replace("\n2 ", "\n2 x "),
            Refused("image 2: expected a box of 4 numbers, found x")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/images_variant_test.txt", Behind("0034301 F/A-18"),
            Refused("test.txt: line 4: expected each picture once, found images/0034301.jpg")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/images_variant_test.txt", Behind("0034302 707-320"),
            Refused("test.txt: line 4: expected each picture once, found images/0034302.jpg")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/images_manufacturer_test.txt", Behind("0034301 Cessna"),
            Refused("expected each image once, found 0034301, of which line 1 of images_manuf")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/images_manufacturer_test.txt", Replace("0034301 Boeing", "0034301 Cessna"),
            Noted("(Cessna 707-320, not Boeing 707-320)")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/images_box.txt", Behind("0034301 1 1 2 2"),
            Refused("expected each image once, found 0034301")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/images_variant_test.txt", Text(""),
            Noted("images_variant_test.txt names no image")),
        ("cars-csv", Cars, "anno_test.csv", Text("fname,x1,y1,x2,y2,class\n"),
            Refused("anno_test.csv: rows: expected at least one, found none")),
        ("aircraft", Aircraft, "fgvc-aircraft-2013b/data/variants.txt", Behind("707-320"),
            Refused("classes of Aircraft: expected unique identifiers, found 707-320")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("\"annotations\": [", "\"annotations\": [{\"image_id\": 10, \"category_id\": 2}, "),
            Refused("image 10: expected annotations with one category, found 2 and 0")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("\"annotations\": [", "\"annotations\": [{\"image_id\": 99, \"category_id\": 2}, "),
            Noted("annotations of val.json of images that are not in it: 1: image 99")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("\"id\": 11, \"file_name\"", "\"id\": 10, \"file_name\""),
            Refused("image 10: expected one image of this identifier, found another one, val/00000")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("val0011.jpg", "val0010.jpg"),
            Refused("image 11: expected each picture once")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("\"categories\": [", "\"categories\": [{\"id\": 2, \"name\": \"other\"}, "),
            Refused("category 2: expected each category once, found \"other\" and")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("\"name\": \"Sabella spallanzanii\"", "\"name\": \"Sabella pavonina\""),
            Refused("category 1: expected \"Sabella spallanzanii\", as in the list of another part")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("\"category_id\": 1}", "\"category_id\": 77}"),
            Refused("expected a category of the file's, found 77")),
        ("inaturalist-2021", INaturalist2021, "val.json", Replace("{\"info\"", "{\"images\": [], \"info\""),
            Refused("the table \"images\" twice")),
        ("inaturalist-2018", INaturalist2018, "categories.json", Replace("\"id\": 1,", "\"id\": 0,"),
            Refused("category 0: expected each category once")),
        ("inaturalist-2018", INaturalist2018, "categories.json", Replace("\"id\": 1,", "\"id\": 11,"),
            Noted("categories that categories.json does not name: 1: 1")),
        ("imagenet", ImageNet, "LOC_val_solution.csv", Behind("ILSVRC2012_val_00000001,n01443537 1 2 12 12"),
            Refused("expected each picture once, found ILSVRC2012_val_00000001, of which line 2")),
        ("imagenet", ImageNet, "LOC_synset_mapping.txt", Behind("n01440764 goldfish"),
            Refused("expected each identifier once, found n01440764 goldfish")),
        ("imagenet", ImageNet, "train/n01440764/n01443537_7.JPEG", CopyOf("val/ILSVRC2012_val_00000001.JPEG"),
            Noted("whose folder and name say two classes, of which the folder's is taken: 1")),
        ("cars-csv", Cars, "anno_train.csv", Behind("00001.jpg,1,2,30,31,2"),
            Refused("expected each picture once, found cars_train/00001.jpg")),
        ("cars-csv", Cars, "anno_train.csv", Replace("00001.jpg,1,2,30,31,1", "00001.jpg,1,2,30,31,7"),
            Refused("anno_train.csv: line 1: expected a class from 1 to 3, found 7 of cars_train/00001")),
        ("cars-csv", Cars, "names.csv", Replace("\nRam", "\n\nRam"),
            Refused("names.csv: line 2: expected an entry, as lines are counted, found nothing")),
        ("cars-folders", Cars, "names.csv", Behind("AM General: Hummer SUV 2000"),
            Refused("expected names that differ in more than case and signs")),
        ("cars-devkit", Cars, "devkit/cars_test_annos_withlabels.mat", CopyOf("devkit/cars_meta.mat"),
            Refused("expected annotations, found class_names")),
        ("flowers", Flowers, "imagelabels.mat", CopyOf("setid.mat"),
            Refused("variables: expected labels, found trnid, valid, tstid")),
        ("dogs", Dogs, "test_list.mat", CopyOf("train_list.mat"),
            Refused("test_list.mat: entry 1: expected each picture once")),
        ("web-dataset", WebDataset, "classnames.txt", Replace("kind 0\n", "\nkind 0\n"),
            Refused("classnames.txt: line 1: expected an entry, as lines are counted")),
        ("knowgen", KnowGen, "knowgen.json", Replace("\"id\": 2", "\"id\": 1"),
            Refused("entry 2: expected an identifier that no other row has, found 1, which entry 1 has")),
        ("factip", FactIp, "test_mini.json", Replace("\"1\": {", "\"0\": {"),
            Refused("the key \"0\" twice")),
    ];
    for (fixture, kind, name, edit, said) in rows {
        check(fixture, *kind, name, edit, said);
    }
}

#[test]
fn a_picture_under_two_numbers_is_refused() {
    let (_folder, root) = copy("cub");
    let lists = root.join("CUB_200_2011");
    let images = fs::read_to_string(lists.join("images.txt")).unwrap();
    let first = images.lines().next().unwrap().strip_prefix("1 ").unwrap();
    for (file, more) in [
        ("images.txt", format!("99 {first}\n")),
        ("image_class_labels.txt", "99 3\n".to_owned()),
        ("train_test_split.txt", "99 1\n".to_owned()),
    ] {
        let text = fs::read_to_string(lists.join(file)).unwrap();
        fs::write(lists.join(file), text + &more).unwrap();
    }
    let told = error(DatasetKind::Cub, &root);
    let expected = format!("images.txt: line 10: expected each picture once, found images/{first}");
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn sets_without_any_picture_say_so() {
    let (_folder, root) = copy("cub");
    fs::remove_dir_all(root.join("CUB_200_2011/images")).unwrap();
    has_note(&read(&root).unwrap(), "no class has a real image");
    let (_folder, root) = copy("inaturalist-2021");
    for list in ["train.json", "val.json"] {
        let text = r#"{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}"#;
        fs::write(root.join(list), text).unwrap();
    }
    let set = read(&root).unwrap();
    has_note(&set, "val.json has no images");
    has_note(&set, "no class has a real image");
}

#[test]
fn a_license_identifier_of_two_licenses_gives_none() {
    let (_folder, root) = copy("inaturalist-2021");
    let file = root.join("val.json");
    let text = fs::read_to_string(&file).unwrap();
    let license = |set: &Dataset| -> Vec<Option<String>> {
        let of_val = set.images().filter(|image| image.split == Some(Split::Validation));
        of_val.map(|image| image.metadata.license.clone()).collect()
    };
    let before = license(&read(&root).unwrap());
    let more = r#""licenses": [{"id": 1, "name": "CC0", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}, "#;
    let two = text.replace(r#""licenses": ["#, more);
    assert_ne!(two, text);
    fs::write(&file, two).unwrap();
    let after = license(&read(&root).unwrap());
    let places: Vec<usize> = text
        .match_indices("\"license\": ")
        .map(|(at, found)| text.as_bytes()[at + found.len()])
        .enumerate()
        .filter_map(|(at, id)| (id == b'1').then_some(at))
        .collect();
    assert!(places.iter().any(|&at| before[at].is_some()), "{before:?}");
    for (at, license) in after.iter().enumerate() {
        let expected = if places.contains(&at) { &None } else { &before[at] };
        assert_eq!(license, expected, "{at}");
    }
}

#[test]
fn folders_of_two_names_and_shards_with_two_classes_are_told() {
    let (_folder, root) = copy("inaturalist-2021");
    for list in ["train.json", "val.json"] {
        fs::remove_file(root.join(list)).unwrap();
    }
    let old = root.join("val/00001_Animalia_Phylum_Class_Order_Family_Sabella_spallanzanii");
    fs::rename(
        &old,
        old.with_file_name("00001_Animalia_Phylum_Class_Order_Family_Sabella_pavonina"),
    )
    .unwrap();
    let told = error(DatasetKind::INaturalist2021, &root);
    let expected =
        "category 1: expected folders of one name, found Sabella spallanzanii and Sabella";
    assert!(told.contains(expected), "{told}");

    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("0.tar");
    let picture = fs::read(fixture("prompts/references/0.png")).unwrap();
    let write = |members: &[(&str, &[u8])]| fs::write(&shard, tar(members)).unwrap();
    write(&[("0.png", &picture), ("0.cls", b"1"), ("0.cls", b"2")]);
    let told = error(DatasetKind::WebDataset, folder.path());
    assert!(told.contains("0.tar: sample 0: expected one .cls member, found two"), "{told}");
    write(&[("0.png", &picture), ("0.cls", b"1"), ("0.json", br#"{"class": 2}"#)]);
    has_note(&read(folder.path()).unwrap(), "of which that of .cls is taken: 1: 0.png (1, not 2)");
    write(&[("0.png", &picture), ("0.png", &picture), ("1.png", &picture), ("1.cls", b"1")]);
    has_note(&read(folder.path()).unwrap(), "members of shards that cannot be read: 2");
}

/// A tar file of these members.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in members {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn flowers_parts_have_each_picture_once() {
    // Two numbers of `setid.mat` are of one picture: those of train are written over those of validation.
    let (_folder, root) = copy("flowers");
    let file = root.join("setid.mat");
    let mat = super::super::mat::Mat::read(&file).unwrap();
    let numbers = ["trnid", "valid"].map(|name| mat.numbers(name).unwrap());
    let matrix = |name: &str, numbers: &[u64]| {
        let mut body = Vec::new();
        let mut element = |kind: u32, bytes: &[u8]| {
            body.extend(kind.to_le_bytes());
            body.extend((bytes.len() as u32).to_le_bytes());
            body.extend(bytes);
            body.resize(body.len().next_multiple_of(8), 0);
        };
        element(6, &[6_u32.to_le_bytes(), [0; 4]].concat()); // A matrix of doubles.
        element(5, &[1_i32.to_le_bytes(), (numbers.len() as i32).to_le_bytes()].concat());
        element(1, name.as_bytes());
        element(9, &numbers.iter().flat_map(|n| (*n as f64).to_le_bytes()).collect::<Vec<_>>());
        [&14_u32.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), &body].concat()
    };
    let mut bytes = vec![b' '; 124];
    bytes.extend([0, 1]);
    bytes.extend(b"IM");
    bytes.extend(matrix("trnid", &numbers[0]));
    bytes.extend(matrix("valid", &[numbers[1][0], numbers[0][0]]));
    bytes.extend(matrix("tstid", &mat.numbers("tstid").unwrap()));
    fs::write(&file, bytes).unwrap();
    let told = error(DatasetKind::Flowers, &root);
    let expected = format!(
        "valid: expected each picture in one part, and there once, found {}, which is of train too",
        numbers[0][0]
    );
    assert!(told.contains(&expected), "{told}");
}
