//! Tables that are not what they seem, and sets that lack a file, to errors that say where and what.

use std::fs;

use super::*;

#[test]
fn tables_tell_open_quotes_columns_twice_and_rows_of_other_lengths() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str, text: &str| -> Result<Dataset> {
        fs::write(folder.path().join(name), text).unwrap();
        read_as(DatasetKind::Prompts, &folder.path().join(name))
    };
    for (name, text, expected) in [
        (
            "a.csv",
            "prompt,seed\na,1\n\"a cat,1\nb,2\n",
            "line 3: expected a closing quotation mark, found none up to the end of the file",
        ),
        (
            "a.csv",
            "prompt,seed\n\"a cat,1\n\"b\",2\n",
            "line 2: expected ',' or the end of the line behind a closing quotation mark",
        ),
        ("a.csv", "prompt,Prompt \na,b\n", "columns: expected each name once, found prompt twice"),
        ("a.tsv", "prompt\tid\tid\na\t1\t2\n", "expected each name once, found id twice"),
        ("a.csv", "prompt,seed\na,1,2\n", "line 2: expected at most 2 columns"),
        ("a.tsv", "prompt\tseed\na\t1\t2\n", "line 2: expected at most 2 columns"),
        (
            "a.jsonl",
            "{\"prompt\": \"a\", \"prompt\": \"b\"}\n",
            "line 1: expected a JSON object with `prompt`, found the key \"prompt\" twice",
        ),
        (
            "a.jsonl",
            "{\"id\": 1, \"prompt\": \"a\"}\n\n{\"id\": \"1\", \"prompt\": \"b\"}\n",
            "line 3: expected an identifier that no other row has, found 1, which line 1 has too",
        ),
        (
            "a.csv",
            "id,prompt\n00001,a\n,b\n",
            "line 3: expected an identifier that no other row has, found 00001, which line 2 has too",
        ),
    ] {
        let told = told(name, text).unwrap_err().chain().to_string();
        assert!(told.contains(expected), "{told}");
    }
    let set = told("a.csv", "prompt,seed,class\na,1,x\nb,2\n\"c\"\" d\nd\" ,3,y\n").unwrap();
    assert_eq!(prompts(&set), ["a", "b", "c\" d\nd"]);
    has_note(
        &set,
        "rows with fewer than 3 columns, the last of which are taken as empty: 1: line 3",
    );
    let set = told("a.csv", "prompt,caption\na,b\n").unwrap();
    has_note(&set, "columns or fields that are not read: caption");

    let names = folder.path().join("names.csv");
    let options = OpenOptions::default().with_names(&names);
    for (text, expected) in [
        ("001,\"a cat\n002,b\n", "line 1: expected a closing quotation mark"),
        ("001,a\n001,b\n", "line 2: expected each identifier once, found 001"),
        ("001,a,b\n", "line 1: expected an identifier and a name"),
        ("id,name\n", "names: expected at least one, found none"),
    ] {
        fs::write(&names, text).unwrap();
        let told =
            open(DatasetKind::Cub, fixture("cub"), &options).unwrap_err().chain().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn what_is_missing_is_told_with_what_is_there() {
    use DatasetKind::*;
    for (fixture, kind, gone, looked_for, there) in [
        ("cub", Cub, "CUB_200_2011/images.txt", "images.txt, classes.txt", "bounding_boxes.txt, "),
        (
            "aircraft",
            Aircraft,
            "fgvc-aircraft-2013b/data/variants.txt",
            "variants.txt and",
            "data/",
        ),
        ("flowers", Flowers, "imagelabels.mat", "imagelabels.mat, setid.mat", "setid.mat"),
        ("dogs", Dogs, "Images", "Images/ with folders", "train_list.mat"),
        ("cars-csv", Cars, "cars_*", "cars_train/ or cars_test/", "anno_train.csv"),
        ("imagenet", ImageNet, "*", "folders with names such as n01440764", "nothing"),
        ("inaturalist-2017", INaturalist2017, "*.json", "train2017.json", "train_val_images/ with"),
        ("inaturalist-2018", INaturalist2018, "*.json", "train2018.json", "train_val2018/ with"),
        ("inaturalist-2021", INaturalist2021, "*", "train.json or train_mini.json", "nothing"),
        ("class-folders", ClassFolders, "*", "a folder for each class", "nothing"),
        ("web-dataset", WebDataset, "*.tar", "a .tar file", "classnames.txt"),
        ("prompts", Prompts, "*", "one .csv, .tsv", "nothing"),
        ("knowgen", KnowGen, "*.json", "one .json file", "images/ with 1.png"),
        ("factip", FactIp, "*.json", "one .json file", "nothing"),
    ] {
        let (_folder, root) = copy(fixture);
        let status = std::process::Command::new("sh")
            .args(["-c", &format!("rm -r ./{gone}")])
            .current_dir(&root)
            .status();
        assert!(status.unwrap().success(), "{fixture}");
        let told = error(kind, &root);
        let (expected, found) = told.split_once(", found ").unwrap_or_else(|| panic!("{told}"));
        assert!(expected.contains(looked_for) && found.contains(there), "{kind}: {told}");
    }
}
