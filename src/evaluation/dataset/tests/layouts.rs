//! Each set in the layouts that people have, and what is told of those that lack something.

use std::fs;

use super::*;
use crate::Image;

#[test]
fn cub_is_read_from_its_five_lists() {
    for path in ["cub", "cub/CUB_200_2011"] {
        let cub = read(&fixture(path)).unwrap();
        assert_eq!(cub.name, "CUB");
        let expected = [
            ("001", "Black footed Albatross", [2, 0, 1, 0]),
            ("002", "Laysan Albatross", [2, 0, 1, 0]),
            ("003", "Sooty Albatross", [2, 0, 1, 0]),
        ];
        assert_eq!(classes(&cub), expected);
        assert_eq!(
            cub.items[0],
            Item::new("001", "A photo of a Black footed Albatross").of_class("001")
        );
        let image = &cub.classes[0].images[1];
        // The same by whichever folder the set is named.
        let id = "images/001.Black_footed_Albatross/Black_footed_Albatross_0002_796002.jpg";
        assert_eq!((&*image.id, image.split), (id, Some(Split::Test)));
        assert_eq!(image.metadata.json.as_deref(), Some(r#"{"bounding_box":[2.0,2.0,8.0,7.0]}"#));
        assert!(image.path.as_ref().unwrap().is_absolute());
        assert!(cub.license.unwrap().contains("non-commercial"));
        assert_eq!(cub.notes, [""; 0]);
    }
}

#[test]
fn what_is_wrong_in_a_list_is_named_by_file_and_line() {
    let cases = [
        (
            "classes.txt",
            "1 001.A\n2\n3 003.C\n",
            "classes.txt: line 2: expected a number and 001.Name, found 2",
        ),
        ("classes.txt", "1 001.A\n1 002.B\n", "classes.txt: line 2: expected each number once"),
        (
            "image_class_labels.txt",
            "1 1\n2 9\n",
            "image 2: expected a class of classes.txt, found 9",
        ),
        ("image_class_labels.txt", "1 1\n", "image 2: expected a class of classes.txt, found none"),
        (
            "train_test_split.txt",
            "1 1\n2 yes\n",
            "image 2: expected 0 (test) or 1 (train), found yes",
        ),
        ("images.txt", "1\n", "images.txt: line 1: expected a number and a path, found 1"),
    ];
    for (file, text, expected) in cases {
        let (_folder, root) = copy("cub");
        fs::write(root.join("CUB_200_2011").join(file), text).unwrap();
        let error = error(DatasetKind::Cub, &root);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_a_list_names_and_is_not_there_is_noted() {
    let (_folder, root) = copy("cub");
    let root = root.join("CUB_200_2011");
    let folder = root.join("images/003.Sooty_Albatross");
    for (at, entry) in fs::read_dir(&folder).unwrap().enumerate() {
        let path = entry.unwrap().path();
        match at {
            0 => fs::rename(&path, path.with_extension("JPG")).unwrap(),
            _ => fs::remove_file(path).unwrap(),
        }
    }
    fs::remove_file(root.join("bounding_boxes.txt")).unwrap();
    // Lists as they come back from Windows.
    let list = fs::read_to_string(root.join("classes.txt")).unwrap().replace('\n', "\r\n");
    fs::write(root.join("classes.txt"), format!("\u{feff}{list}\r\n")).unwrap();
    let cub = read(&root).unwrap();
    assert_eq!(cub.classes[2].images.len(), 1);
    has_note(&cub, "pictures that images.txt names and that are not there: 2: images/003.Sooty");
    has_note(&cub, "no bounding_boxes.txt");
    fs::copy(cub.classes[0].images[0].path.as_ref().unwrap(), folder.join("new.jpg")).unwrap();
    has_note(
        &read(&root).unwrap(),
        "pictures that no list names: 1: images/003.Sooty_Albatross/new.jpg",
    );
    let out = root.join("images.txt");
    fs::write(&out, fs::read_to_string(&out).unwrap().replacen("1 001", "1 ../../001", 1)).unwrap();
    has_note(&read(&root).unwrap(), "not there: 3: images/../../001");
}

#[test]
fn imagenet_counts_as_its_devkit_does() {
    let all = |root: &Path| {
        let set = read_as(DatasetKind::ImageNet, root).unwrap();
        let shown: Vec<Vec<String>> = set
            .classes
            .iter()
            .map(|class| class.images.iter().map(|image| image.id.clone()).collect())
            .collect();
        let names = set.classes.iter().map(|class| class.name.clone()).collect::<Vec<_>>();
        (names, shown, set)
    };
    let (_folder, root) = copy("imagenet");
    let (names, shown, set) = all(&root);
    assert_eq!(names, ["tench", "goldfish", "crane", "Boston bull", "crane"]);
    let expected = [
        ("n01440764", "tench", [3, 2, 0, 0]),
        ("n01443537", "goldfish", [3, 2, 0, 0]),
        ("n02012849", "crane", [3, 2, 0, 0]),
        ("n02096585", "Boston bull", [3, 2, 0, 0]),
        ("n03126707", "crane", [3, 2, 0, 0]),
    ];
    assert_eq!(classes(&set), expected);
    // Picture `number` is of class `3 number mod 5`; so pictures 1 and 6 are of the first.
    let first = ["val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000006.JPEG"];
    assert_eq!(shown[0][3..], first);
    has_note(
        &set,
        "names that several classes have, and so one prompt: 1: crane (n02012849, n03126707)",
    );
    // One of them is in CMYK, and one is PNG under the name JPEG.
    assert_eq!(sizes(&set), [(12, 12); 25]);
    for (file, known) in [
        ("LOC_synset_mapping.txt", "Boston bull"),
        ("LOC_val_solution.csv", "Boston bull"),
        ("imagenet_class_index.json", "Boston bull"),
    ] {
        fs::remove_file(root.join(file)).unwrap();
        let (names, now, _) = all(&root);
        assert_eq!((names[3].as_str(), now), (known, shown.clone()), "without {file}");
    }
    fs::remove_file(root.join("ILSVRC2012_devkit_t12/data/meta.mat")).unwrap();
    let told = error(DatasetKind::ImageNet, &root);
    assert!(told.contains("meta.mat"), "{told}");
}

#[test]
fn parts_and_subsets_of_imagenet_are_read() {
    let (_folder, root) = copy("imagenet");
    let options = OpenOptions::default().with_split(Split::Validation);
    let set = open(DatasetKind::ImageNet, &root, &options).unwrap();
    assert_eq!(set.images().count(), 10);
    // The caller names one of its folders, whose names are above it.
    let train = read(&root.join("train")).unwrap();
    assert_eq!((train.images().count(), train.classes.len()), (15, 5));
    assert!(train.images().all(|image| image.split == Some(Split::Train)));
    // The folder as its archive is called.
    fs::rename(root.join("val"), root.join("ILSVRC2012_img_val")).unwrap();
    let set = read(&root.join("ILSVRC2012_img_val")).unwrap();
    assert_eq!(classes(&set)[0].2, [0, 2, 0, 0]);
    fs::rename(root.join("ILSVRC2012_img_val"), root.join("pictures")).unwrap();
    let set = read_as(DatasetKind::ImageNet, &root.join("pictures")).unwrap();
    assert_eq!(classes(&set)[0].2, [0, 2, 0, 0]);
    fs::rename(root.join("pictures"), root.join("val")).unwrap();
    // A hundred classes of a thousand.
    fs::remove_dir_all(root.join("val")).unwrap();
    for id in ["n02096585", "n03126707"] {
        fs::remove_dir_all(root.join("train").join(id)).unwrap();
    }
    let some = read(&root).unwrap();
    assert_eq!(some.classes.len(), 3);
    has_note(&some, "classes of LOC_synset_mapping.txt that no folder or list is of: 2");
    // Names alone are enough to draw.
    fs::remove_dir_all(root.join("train")).unwrap();
    let names = read(&root).unwrap();
    assert_eq!((names.classes.len(), names.items.len(), names.images().count()), (5, 5, 0));
}

#[test]
fn imagenet_under_other_names_is_read() {
    let (_folder, root) = copy("imagenet");
    let inner = root.join("ILSVRC/Data/CLS-LOC");
    fs::create_dir_all(&inner).unwrap();
    fs::rename(root.join("val"), inner.join("val")).unwrap();
    fs::rename(root.join("train"), root.join("elsewhere")).unwrap();
    assert_eq!(read(&root).unwrap().images().count(), 10);
    // The Hub's names say the class themselves.
    for file in ["LOC_val_solution.csv", "ILSVRC2012_devkit_t12/data/meta.mat"] {
        fs::remove_file(root.join(file)).unwrap();
    }
    let val = inner.join("val");
    for entry in fs::read_dir(&val).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        fs::rename(&path, val.join(format!("{stem}_n01443537.JPEG"))).unwrap();
    }
    assert_eq!(read(&root).unwrap().class("n01443537").unwrap().images.len(), 10);
    // Without names, those of the caller will do.
    for file in ["LOC_synset_mapping.txt", "imagenet_class_index.json"] {
        fs::remove_file(root.join(file)).unwrap();
    }
    let told = error(DatasetKind::ImageNet, &root);
    assert!(told.contains("names of classes: expected LOC_synset_mapping.txt"), "{told}");
    let csv = root.join("names.csv");
    fs::write(&csv, "n01443537,a fish of gold\n").unwrap();
    fs::write(root.join("more.csv"), "n01443537,a fish\nn01440764,tench\n").unwrap();
    let options = OpenOptions::default().with_names(root.join("more.csv"));
    let set = open(DatasetKind::ImageNet, &root, &options).unwrap();
    assert_eq!(prompts(&set), ["A photo of a a fish"]);
    has_note(&set, "of classes that are not there: 1: n01440764 tench");
    let set = open(DatasetKind::ImageNet, &root, &OpenOptions::default().with_names(csv)).unwrap();
    assert_eq!(prompts(&set), ["A photo of a a fish of gold"]);
}

#[test]
fn inaturalist_is_read_with_the_license_of_each_image() {
    for year in [2017, 2018, 2021] {
        let root = fixture(&format!("inaturalist-{year}"));
        let set = read(&root).unwrap();
        assert_eq!(set.name, format!("iNaturalist {year}"));
        let expected = [
            ("0", "Lumbricus terrestris", [3, 3, 0, 0]),
            ("1", "Sabella spallanzanii", [3, 3, 0, 0]),
            ("2", "Aedes albopictus", [3, 3, 0, 0]),
        ];
        assert_eq!(classes(&set), expected, "{year}");
        let image = &set.classes[0].images[0];
        assert_eq!(image.metadata.license.as_deref(), Some("CC-BY-NC-4.0"));
        assert_eq!(image.metadata.author.as_deref(), Some("person 1"));
        assert_eq!((image.metadata.width, image.metadata.height), (Some(12), Some(12)));
        let licenses: Vec<_> =
            set.classes[0].images.iter().map(|i| i.metadata.license.as_deref()).collect();
        // Image 3: a name and a link that are of different ones.
        assert_eq!(licenses[1..3], [Some("CC-BY-4.0"), None]);
        assert_eq!(set.classes[1].images[0].metadata.license.as_deref(), Some("CC0-1.0"));
        has_note(&set, "licenses of train");
        assert_eq!(sizes(&set), [(12, 12); 18]);
    }
}

#[test]
fn inaturalist_2021_has_common_names_and_names_of_folders() {
    let (_folder, root) = copy("inaturalist-2021");
    let options = OpenOptions::default().with_common_names();
    let set = open(DatasetKind::INaturalist2021, &root, &options).unwrap();
    assert_eq!(prompts(&set)[0], "A photo of a Common Earthworm");
    for file in ["train.json", "val.json"] {
        fs::remove_file(root.join(file)).unwrap();
    }
    let set = read(&root).unwrap();
    assert_eq!(classes(&set)[2], ("2", "Aedes albopictus", [3, 3, 0, 0]));
    assert!(set.images().all(|image| image.metadata.license.is_none()));
    has_note(&set, "licenses are not known");
    let val = read(&root.join("val")).unwrap();
    assert_eq!(classes(&val)[0], ("0", "Lumbricus terrestris", [0, 3, 0, 0]));
}

#[test]
fn inaturalist_2018_needs_its_names() {
    let (_folder, root) = copy("inaturalist-2018");
    fs::remove_file(root.join("categories.json")).unwrap();
    let told = error(DatasetKind::INaturalist2018, &root);
    assert!(told.contains("categories.json, which has the names"), "{told}");
    let csv = root.join("names.csv");
    fs::write(&csv, "0,a\n1,b\n2,c\n").unwrap();
    let options = OpenOptions::default().with_names(csv);
    assert!(open(DatasetKind::INaturalist2018, &root, &options).is_ok());
}

#[test]
fn json_of_inaturalist_that_is_not_json_is_read_or_named() {
    let (_folder, root) = copy("inaturalist-2021");
    let file = root.join("val.json");
    let text = fs::read_to_string(&file).unwrap();
    let whole = read(&root).unwrap();
    // Python writes NaN, Windows a byte order mark.
    fs::write(&file, format!("\u{feff}{text}")).unwrap();
    assert_eq!(read(&root).unwrap(), whole);
    fs::write(&file, text.replace("\"latitude\": 1.5", "\"latitude\": NaN")).unwrap();
    assert_eq!(read(&root).unwrap(), whole);
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    let told = error(DatasetKind::INaturalist2021, &root);
    assert!(
        told.contains("val.json: tables: expected {\"images\"") && told.contains("EOF"),
        "{told}"
    );
    fs::write(&file, text.replace("\"annotations\"", "\"nothing\"")).unwrap();
    let told = error(DatasetKind::INaturalist2021, &root);
    assert!(
        told.contains("annotations: expected the category of each image, found none"),
        "{told}"
    );
}

#[test]
fn aircraft_loses_its_strip_and_gains_its_manufacturer() {
    for path in ["aircraft", "aircraft/fgvc-aircraft-2013b", "aircraft/fgvc-aircraft-2013b/data"] {
        let set = read(&fixture(path)).unwrap();
        let expected = [
            ("707-320", "Boeing 707-320", [1, 1, 1, 0]),
            ("F/A-18", "McDonnell Douglas F/A-18", [1, 1, 1, 0]),
            ("Cessna 172", "Cessna 172", [1, 1, 1, 0]),
        ];
        assert_eq!(classes(&set), expected);
        assert_eq!(sizes(&set), [(12, 12); 9]);
        assert_eq!(set.classes[0].images[0].id, "images/0034302.jpg");
    }
    let of = |level| {
        let options = OpenOptions::default().with_level(level);
        open(DatasetKind::Aircraft, fixture("aircraft"), &options).unwrap()
    };
    assert_eq!(prompts(&of(AircraftLevel::Manufacturer))[1], "A photo of a McDonnell Douglas");
    let families = of(AircraftLevel::Family);
    assert_eq!(classes(&families)[0], ("Boeing 707", "Boeing 707", [1, 1, 1, 0]));
}

#[test]
fn aircraft_with_lists_of_trainval_alone_is_read() {
    let (_folder, root) = copy("aircraft");
    let data = root.join("fgvc-aircraft-2013b/data");
    for part in ["train", "val"] {
        fs::remove_file(data.join(format!("images_variant_{part}.txt"))).unwrap();
    }
    assert_eq!(classes(&read(&root).unwrap())[0].2, [2, 0, 1, 0]);
    // A picture of nothing but the strip.
    let strip = Image::new(4, 20, [0; 240]).unwrap();
    fs::write(data.join("images/0034301.jpg"), strip.encode_jpeg(90).unwrap()).unwrap();
    let set = read(&root).unwrap();
    let image = set.images().find(|image| image.id.ends_with("0034301.jpg")).unwrap();
    let told = futures::executor::block_on(image.picture.load()).unwrap_err().to_string();
    assert!(
        told.ends_with(
            "expected more than 20 rows, the lowest of which are a strip of text, found 20"
        ),
        "{told}"
    );
}

#[test]
fn dogs_are_read_with_their_lists() {
    let set = read(&fixture("dogs")).unwrap();
    let expected = [
        ("n02085620", "Chihuahua", [2, 0, 1, 0]),
        ("n02085782", "Japanese spaniel", [2, 0, 1, 0]),
        ("n02089078", "black-and-tan coonhound", [2, 0, 1, 0]),
    ];
    assert_eq!(classes(&set), expected);
    let (_folder, root) = copy("dogs");
    fs::remove_file(root.join("test_list.mat")).unwrap();
    let set = read(&root).unwrap();
    assert_eq!(classes(&set)[0].2, [2, 0, 0, 1]);
    has_note(&set, "no test_list.mat");
    has_note(&set, "pictures that neither list names: 3");
}

#[test]
fn flowers_have_the_names_of_their_page() {
    let set = read(&fixture("flowers")).unwrap();
    assert_eq!(
        classes(&set)[..2],
        [("1", "pink primrose", [1, 1, 1, 0]), ("2", "hard-leaved pocket orchid", [1, 1, 1, 0])]
    );
    assert_eq!((set.classes.len(), &*set.classes[32].name), (102, "love in the mist"));
    has_note(&set, "classes without real images: 99, such as 4, 5, 6");
    assert_eq!(set.license, None);
    let (_folder, root) = copy("flowers");
    fs::remove_file(root.join("setid.mat")).unwrap();
    has_note(&read(&root).unwrap(), "no setid.mat");
}

#[test]
fn cars_are_the_same_in_every_copy() {
    let expected = [
        ("1", "Acura Integra Type R 2001", [2, 0, 1, 0]),
        ("2", "Ram C/V Cargo Van Minivan 2012", [2, 0, 1, 0]),
        ("3", "AM General Hummer SUV 2000", [2, 0, 1, 0]),
    ];
    for copy in ["cars-devkit", "cars-csv", "cars-folders", "cars-one-folder"] {
        let set = read(&fixture(copy)).unwrap();
        assert_eq!(classes(&set), expected, "{copy}");
        assert_eq!(set.notes, [""; 0]);
    }
    let (_folder, root) = copy("cars-folders");
    fs::remove_file(root.join("names.csv")).unwrap();
    assert_eq!(classes(&read(&root).unwrap())[2].1, "Ram C-V Cargo Van Minivan 2012");
    // Without labels, which participants did not get, test has none.
    let (_folder, root) = copy("cars-devkit");
    fs::remove_file(root.join("devkit/cars_test_annos_withlabels.mat")).unwrap();
    let set = read(&root).unwrap();
    assert_eq!(classes(&set)[0].2, [2, 0, 0, 0]);
    has_note(
        &set,
        "the test images are left out: neither anno_test.csv nor devkit/cars_test_annos_with",
    );
    let (_folder, root) = copy("cars-csv");
    fs::write(root.join("anno_test.csv"), "00001.jpg,1,2,30,31,9\n").unwrap();
    let told = error(DatasetKind::Cars, &root);
    assert!(
        told.contains("line 1: expected a class from 1 to 3, found 9 of cars_test/00001.jpg"),
        "{told}"
    );
}

#[test]
fn folders_of_classes_are_read_with_and_without_parts() {
    let (_folder, root) = copy("class-folders");
    let set = read(&root).unwrap();
    assert_eq!(classes(&set)[0], ("class_0", "class 0", [3, 3, 0, 0]));
    assert_eq!((set.name.as_str(), sizes(&set).len()), ("class-folders", 18));
    has_note(&set, "files that systems and programs leave behind: 2");
    let train = read(&root.join("train")).unwrap();
    assert_eq!(classes(&train)[0], ("class_0", "class 0", [3, 0, 0, 0]));
    // A class may be called train.
    let other = root.join("vehicles");
    fs::create_dir_all(other.join("bus")).unwrap();
    fs::rename(root.join("train/class_1"), other.join("train")).unwrap();
    fs::copy(root.join("train/class_0/0.jpg"), other.join("loose.jpg")).unwrap();
    fs::write(other.join("train/0.json"), r#"{"license": "CC0-1.0"}"#).unwrap();
    let set = read(&other).unwrap();
    assert_eq!(classes(&set), [("bus", "bus", [0, 0, 0, 0]), ("train", "train", [0, 0, 0, 3])]);
    has_note(&set, "pictures beside the folders of classes: 1: loose.jpg");
    has_note(&set, "classes without real images: 1: bus");
    assert_eq!(set.classes[1].images[0].metadata.license.as_deref(), Some("CC0-1.0"));
}

#[cfg(unix)]
#[test]
fn links_fifos_and_names_that_are_not_utf_8_harm_nobody() {
    use std::os::unix::ffi::OsStrExt;
    let (_folder, root) = copy("class-folders");
    let class = root.join("train/class_0");
    fs::copy(class.join("0.jpg"), class.join(std::ffi::OsStr::from_bytes(b"caf\xe9.jpg"))).unwrap();
    std::os::unix::fs::symlink(&root, class.join("loop")).unwrap();
    std::os::unix::fs::symlink(class.join("0.jpg"), class.join("link.jpg")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(class.join("pipe.jpg")).status().unwrap();
    assert!(status.success());
    let set = read_as(DatasetKind::ClassFolders, &root).unwrap();
    let ids: Vec<&str> = set.classes[0].images.iter().map(|image| &*image.id).collect();
    assert!(ids.contains(&"file:train/class_0/caf%E9.jpg"), "{ids:?}");
    assert!(ids.contains(&"train/class_0/link.jpg"));
    has_note(&set, "files that cannot be read: 1");
}

#[test]
fn shards_are_read_by_class_or_by_caption() {
    let set = read(&fixture("web-dataset")).unwrap();
    let expected = [
        ("0", "kind 0", [0, 0, 0, 2]),
        ("1", "kind 1", [0, 0, 0, 2]),
        ("2", "kind 2", [0, 0, 0, 2]),
    ];
    assert_eq!(classes(&set), expected);
    let image = &set.classes[1].images[1];
    assert_eq!((&*image.id, &image.path), ("mini-000001.tar#001000001.jpg", &None));
    assert_eq!(image.metadata.license.as_deref(), Some("CC-BY-4.0"));
    assert_eq!((sizes(&set), set.notes.as_slice()), (vec![(12, 12); 6], &[][..]));
    let (_folder, root) = copy("web-dataset");
    let shard = root.join("mini-000000.tar");
    let bytes = fs::read(&shard).unwrap();
    let text = bytes.windows(4).enumerate().filter(|(_, four)| *four == b".cls").map(|(at, _)| at);
    let mut without = bytes.clone();
    for at in text.collect::<Vec<_>>() {
        without[at + 1..at + 4].copy_from_slice(b"xyz");
        // The checksum of the header is that of its bytes.
        let header = at / 512 * 512;
        without[header + 148..header + 156].fill(b' ');
        let sum: u32 = without[header..header + 512].iter().map(|&byte| u32::from(byte)).sum();
        without[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    fs::write(&shard, &without).unwrap();
    let set = read(&shard).unwrap();
    assert_eq!(prompts(&set), ["picture of kind 0", "picture of kind 1", "picture of kind 2"]);
    assert_eq!((set.items[0].images.len(), set.classes.len()), (1, 0));
    has_note(&set, "3 members");
    fs::create_dir(root.join("train")).unwrap();
    fs::rename(root.join("mini-000001.tar"), root.join("train/0.tar")).unwrap();
    let set = read(&root).unwrap();
    assert_eq!(classes(&set)[1], ("1", "kind 1", [1, 0, 0, 0]));
    assert_eq!(set.classes[1].images[0].id, "train/0.tar#001000001.jpg");
    fs::rename(root.join("train/0.tar"), root.join("mini-000001.tar")).unwrap();
    fs::write(&shard, &bytes[..bytes.len() / 3]).unwrap();
    has_note(&read(&root).unwrap(), "members of shards that cannot be read");
}

#[test]
fn prompts_are_read_in_every_form() {
    let of = |file: &str| read(&fixture("prompts").join(file)).unwrap();
    let parti = of("PartiPrompts.tsv");
    assert_eq!(prompts(&parti), ["a sign that says \"Hello", "\"Peace\" in neon", "bond"]);
    assert_eq!((&*parti.items[1].id, parti.items[0].category.as_deref()), ("00001", Some("Arts")));
    let draw = of("DrawBench.csv");
    assert_eq!(prompts(&draw)[1], "One cat, and two dogs sitting on the grass.");
    assert_eq!(draw.items[1].category.as_deref(), Some("Counting"));
    let geneval = of("evaluation_metadata.jsonl");
    assert_eq!(prompts(&geneval), ["a photo of a bench", "a photo of two cows"]);
    assert_eq!(geneval.items[1].category.as_deref(), Some("counting"));
    assert_eq!((geneval.items[0].class.as_deref(), geneval.classes.len()), (None, 0));
    assert_eq!(prompts(&of("lines.txt")), ["a quetzal at dawn", "a fennec asleep"]);
    let own = of("own.csv");
    let [first, second] = &own.items[..] else { panic!("{own:?}") };
    assert_eq!((&*first.id, first.seed, first.class.as_deref()), ("q1", Some(7), Some("quetzal")));
    assert_eq!((first.images[0].id.as_str(), second.images.len()), ("references/0.png", 0));
    assert_eq!((second.seed, own.classes.len(), &*own.name), (None, 1, "own"));
    has_note(&parti, "columns or fields that are not read: challenge, note");
    has_note(&own, "references that are not there: 1: references/none.png (line 3)");
    assert_eq!(sizes(&own), [(12, 12)]);
}

#[test]
fn wrong_lists_of_prompts_are_named_by_line() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, expected) in [
        (
            "a.csv",
            "text_prompt,class\na,b\n",
            "columns: expected one called `prompt`, found text_prompt, class",
        ),
        ("a.csv", "prompt,class\na, b, c\n", "line 2: expected at most 2 columns"),
        (
            "a.csv",
            "prompt,seed\na,1\nb,random\n",
            "seed in line 3: expected a whole number from 0 on, found random",
        ),
        ("a.csv", "prompt\n", "prompts: expected at least one, found none"),
        (
            "a.csv",
            "id,prompt\nx,a\nx,b\n",
            "line 3: expected an identifier that no other row has, found x, which line 2 has too",
        ),
        ("a.csv", "prompt\ncaf\u{fffd}\n", "expected characters in UTF-8 or UTF-16"),
        (
            "a.jsonl",
            "{\"prompt\": \"a\"}\n{\"prompt\": \n",
            "line 2: expected a JSON object with `prompt`",
        ),
        (
            "a.jsonl",
            "{\"prompt\": \"a\"}\n7\n",
            "line 2: expected a JSON object with `prompt`, found 7",
        ),
        ("a.json", "{\"prompts\": 7}", "entry \"prompts\": expected an array of objects"),
        ("a.json", "[", "prompts: expected an array of objects"),
        ("a.txt", "\n\n", "prompts: expected at least one, found none"),
        ("a.md", "a", "list of prompts: expected a .csv"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let told = error(DatasetKind::Prompts, &path);
        assert!(told.contains(expected), "{told}");
    }
    let semicolons = folder.path().join("a.csv");
    fs::write(&semicolons, "Prompt;Category\na, b;c\n;d\n").unwrap();
    let set = read(&semicolons).unwrap();
    assert_eq!((prompts(&set), set.items[0].category.as_deref()), (vec!["a, b"], Some("c")));
    has_note(&set, "rows without a prompt: 1: line 3");
}

#[test]
fn knowgen_and_factip_are_read() {
    let knowgen = read(&fixture("knowgen")).unwrap();
    assert_eq!(
        (&*knowgen.name, &*knowgen.items[0].id, prompts(&knowgen)[1]),
        ("KnowGen", "1", "A figure of a game")
    );
    assert_eq!(knowgen.items[0].category.as_deref(), Some("Science & Knowledge"));
    assert_eq!(knowgen.items[0].images[0].id, "images/1.png");
    has_note(&knowgen, "references that are not there: 1: images/2.png (entry 2)");
    let factip = read(&fixture("factip/test_mini.json")).unwrap();
    assert_eq!((&*factip.name, factip.items.len(), &*factip.items[10].id), ("FactIP", 12, "10"));
    assert_eq!(prompts(&factip)[2], "Figure 2 on a bridge");
    assert_eq!(factip.items[2].class.as_deref(), Some("Figure 2"));
}

#[test]
fn every_kind_is_guessed_and_has_a_name() {
    for (path, kind) in [
        ("imagenet", DatasetKind::ImageNet),
        ("imagenet/train", DatasetKind::ImageNet),
        ("inaturalist-2017", DatasetKind::INaturalist2017),
        ("inaturalist-2018", DatasetKind::INaturalist2018),
        ("inaturalist-2021", DatasetKind::INaturalist2021),
        ("inaturalist-2021/val", DatasetKind::INaturalist2021),
        ("cub", DatasetKind::Cub),
        ("aircraft", DatasetKind::Aircraft),
        ("dogs", DatasetKind::Dogs),
        ("flowers", DatasetKind::Flowers),
        ("cars-devkit", DatasetKind::Cars),
        ("cars-csv", DatasetKind::Cars),
        ("cars-folders", DatasetKind::Cars),
        ("class-folders", DatasetKind::ClassFolders),
        ("web-dataset", DatasetKind::WebDataset),
        ("web-dataset/mini-000001.tar", DatasetKind::WebDataset),
        ("prompts/own.csv", DatasetKind::Prompts),
        ("prompts/lines.txt", DatasetKind::Prompts),
        ("knowgen", DatasetKind::KnowGen),
        ("factip", DatasetKind::FactIp),
    ] {
        assert_eq!(DatasetKind::guess(fixture(path)).unwrap(), kind, "{path}");
        assert_eq!(kind.to_string().parse::<DatasetKind>().unwrap(), kind);
        assert_eq!(serde_json::from_str::<DatasetKind>(&format!("\"{kind}\"")).unwrap(), kind);
    }
    assert_eq!("iNaturalist 2021".parse::<DatasetKind>().unwrap(), DatasetKind::INaturalist2021);
    let told = "coco".parse::<DatasetKind>().unwrap_err().to_string();
    assert!(told.contains("one of imagenet, ") && told.ends_with("found coco"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.md"), "").unwrap();
    let told = read(folder.path()).unwrap_err().to_string();
    assert!(
        told.contains("images.txt and classes.txt (CUB)") && told.ends_with("found notes.md"),
        "{told}"
    );
    for kind in DatasetKind::ALL {
        assert!(read_as(kind, folder.path()).is_err(), "{kind}");
        assert!(read_as(kind, &folder.path().join("none")).is_err(), "{kind}");
    }
}

#[test]
fn settings_of_other_sets_are_refused() {
    let told = |options: OpenOptions| {
        open(DatasetKind::Cub, fixture("cub"), &options).unwrap_err().to_string()
    };
    let common = told(OpenOptions::default().with_common_names());
    assert_eq!(common, "common_names: expected inaturalist-2021, found cub");
    let level = told(OpenOptions::default().with_level(AircraftLevel::Family));
    assert_eq!(level, "level: expected aircraft, found cub");
    let options = OpenOptions::default().with_split(Split::Test);
    let none = open(DatasetKind::ImageNet, fixture("imagenet"), &options).unwrap_err().to_string();
    assert_eq!(none, "split: expected a part of ImageNet with images, found test");
    let split = told(OpenOptions::default().with_split(Split::Validation));
    assert_eq!(split, "split: expected a part of CUB, which has test, train, found validation");
}

#[test]
fn damaged_files_of_every_set_never_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut outcomes = [0, 0];
    for (name, files) in [
        (
            "cub",
            &[
                "CUB_200_2011/images.txt",
                "CUB_200_2011/classes.txt",
                "CUB_200_2011/bounding_boxes.txt",
            ][..],
        ),
        ("imagenet", &["LOC_synset_mapping.txt", "LOC_val_solution.csv"]),
        ("inaturalist-2018", &["val2018.json", "categories.json"]),
        (
            "aircraft",
            &["fgvc-aircraft-2013b/data/variants.txt", "fgvc-aircraft-2013b/data/images_box.txt"],
        ),
        ("dogs", &["test_list.mat"]),
        ("flowers", &["setid.mat", "imagelabels.mat"]),
        ("cars-csv", &["names.csv", "anno_test.csv"]),
        ("cars-devkit", &["devkit/cars_meta.mat", "devkit/cars_train_annos.mat"]),
        ("web-dataset", &["mini-000001.tar", "classnames.txt"]),
        ("knowgen", &["knowgen.json"]),
        ("factip", &["test_mini.json"]),
    ] {
        let (_folder, root) = copy(name);
        let kind = DatasetKind::guess(&root).unwrap();
        for file in files.iter().map(|file| root.join(file)) {
            let whole = fs::read(&file).unwrap();
            for _ in 0..24 {
                let mut damaged = whole[..random.usize(..=whole.len())].to_vec();
                fs::write(&file, &damaged).unwrap();
                outcomes[usize::from(read_as(kind, &root).is_ok())] += 1;
                damaged.clone_from(&whole);
                for _ in 0..random.usize(1..6) {
                    let at = random.usize(..damaged.len());
                    damaged[at] = random.u8(..);
                }
                fs::write(&file, &damaged).unwrap();
                outcomes[usize::from(read_as(kind, &root).is_ok())] += 1;
            }
            fs::write(&file, &whole).unwrap();
        }
        assert!(read_as(kind, &root).is_ok(), "{name}");
    }
    let [refused, read] = outcomes;
    assert!(refused > 100 && read > 100, "{outcomes:?}");
}
