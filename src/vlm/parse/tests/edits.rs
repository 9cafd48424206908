//! Plans of edits as models write them, to what each must mean.

use super::drawn::*;
use super::properties::{nearly_always, never_wrong};
use super::*;

/// What `reply` plans; `None` where the question is asked again.
fn edits(reply: &str) -> Option<Vec<String>> {
    super::super::edits(&Questions::default(), &reply.into())
}

const HAT: &str = "Add a red hat to the dog";
const CAT: &str = "Remove the second cat";

#[test]
fn plans_are_read_however_they_are_laid_out() {
    for reply in [
        "Add a red hat to the dog\nRemove the second cat",
        "1. Add a red hat to the dog\n2. Remove the second cat",
        "- Add a red hat to the dog\n- Remove the second cat",
        "1) Add a red hat to the dog\n2) Remove the second cat\n",
        "\"Add a red hat to the dog\"\n\"Remove the second cat\"",
        "Here are the edits:\n1. Add a red hat to the dog\n2. Remove the second cat",
        "Sure! Here are the edits needed:\n\n- Add a red hat to the dog\n- Remove the second cat",
        "To match the prompt, make these edits:\n- Add a red hat to the dog\n- Remove the second cat",
        "**Edit plan:**\n1. Add a red hat to the dog\n2. Remove the second cat",
        "### Edits\nAdd a red hat to the dog\nRemove the second cat",
        "Step 1: Add a red hat to the dog\nStep 2: Remove the second cat",
        "**Step 1:** Add a red hat to the dog\n**Step 2:** Remove the second cat",
        "1. **Edit 1**: Add a red hat to the dog\n2. **Edit 2**: Remove the second cat",
        "[Edit 1] Add a red hat to the dog\n[Edit 2] Remove the second cat",
        "### Step 1\nAdd a red hat to the dog\n### Step 2\nRemove the second cat",
        "1. **Add a red hat to the dog**: it has none.\n2. **Remove the second cat**: one is enough.",
        "1. **Hat**: Add a red hat to the dog\n2. **Cats**: Remove the second cat",
        "- **Add** a red hat to the dog\n- **Remove** the second cat",
        "- **Add**: a red hat to the dog\n- **Remove**: the second cat",
        "1. Add a red hat to the dog\n   - The dog has no hat.\n2. Remove the second cat\n   - One is enough.",
        "<think>Add a tree? No.</think>1. Add a red hat to the dog\n2. Remove the second cat",
        "**Analysis:**\n- The dog has no hat.\n- There are two cats.\n\n**Edits:**\n- Add a red hat to the dog\n- Remove the second cat",
        "Objects: dog, cats\nFeedback:\n- Add a red hat to the dog\n- Remove the second cat",
        "- Add a red hat to the dog\n- Remove the second cat\n\nThese edits will make the image match the prompt.",
        "- Add a red hat to the dog\n- Remove the second cat\n\nLet me know if you need more!",
        "- Add a red hat to the dog\n- Add a red hat to the dog.\n- Remove the second cat\n- remove the second cat",
        "{\"edits\": [\"Add a red hat to the dog\", \"Remove the second cat\"]}",
        "```json\n[\"Add a red hat to the dog\", \"Remove the second cat\"]\n```",
        "{\"match\": false, \"edits\": [{\"step\": 1, \"edit\": \"Add a red hat to the dog\", \"reason\": \"It has none.\"}, {\"step\": 2, \"edit\": \"Remove the second cat\"}]}",
        "{\"plan\": [{\"instruction\": \"Add a red hat to the dog\"}, {\"instruction\": \"Remove the second cat\"}]}",
        "{\"step_1\": \"Add a red hat to the dog\", \"step_2\": \"Remove the second cat\"}",
        "{\"1\": \"Add a red hat to the dog\", \"2\": \"Remove the second cat\"}",
        "[{\"action\": \"Add\", \"object\": \"a red hat\", \"location\": \"to the dog\"}, {\"action\": \"Remove\", \"object\": \"the second cat\"}]",
        "{\"Add\": [\"a red hat to the dog\"], \"Remove\": [\"the second cat\"]}",
        "{\"Add a red hat to the dog\": \"It has none.\", \"Remove the second cat\": \"One is enough.\"}",
        "| # | Edit | Why |\n|---|---|---|\n| 1 | Add a red hat to the dog | none |\n| 2 | Remove the second cat | one |",
        "<edits><item>Add a red hat to the dog</item><item>Remove the second cat</item></edits>",
        "Add a red hat to the dog. Remove the second cat.",
        "**Caption**: a dog and two cats\n**Objects**: dog, cats\n**Feedback**:\n- Add a red hat to the dog\n- Remove the second cat",
        "1) Add a red hat to the dog 2) Remove the second cat",
    ] {
        let found = edits(reply).unwrap_or_else(|| panic!("not read: {reply}"));
        let found: Vec<&str> = found.iter().map(|edit| edit.trim_end_matches('.')).collect();
        assert_eq!(found, [HAT, CAT], "{reply}");
    }
}

#[test]
fn an_image_that_needs_no_edit_is_told_from_a_reply_that_makes_no_sense() {
    for reply in [
        "none",
        "None.",
        "**None**",
        "- None",
        "No edits needed.",
        "No edits are needed",
        "No further feedback is necessary.",
        "No changes are required; the image matches.",
        "There are no edits needed.",
        "There is nothing to change.",
        "Nothing needs to be edited.",
        "The image already matches the prompt.",
        "The image matches the prompt perfectly, no edits are needed.",
        "<think>Is the hat red? Yes.</think>\nnone",
        "**Feedback**: No further feedback is necessary.",
        "The image matches the prompt, so nothing needs to be changed.",
        "There's nothing to fix.",
        "No changes to the dog or the cats are needed.",
        "Edits: none",
        "{\"edits\": []}",
        "```json\n[]\n```",
        "{\"edits\": [\"none\"]}",
        "{\"match\": true, \"edits\": []}",
    ] {
        assert_eq!(edits(reply), Some(Vec::new()), "{reply}");
    }
    for reply in [
        "",
        "yes",
        "No.",
        "I'm sorry, but I can't help with that.",
        "I cannot see the image. Please upload it.",
        "As an AI, I am unable to edit images.",
        "Please attach the picture.",
        "Unfortunately, I can't see the image, please upload it.",
        "The image shows a dog.",
        "<think>Add a hat, and",
        "No edits needed.\n- Add a red hat to the dog",
        "'",
        "{\"edits\": 3}",
        "There are no cats in the image.",
        "No edits are needed, but the hat could be redder.",
        "The image matches the prompt, except for the hat.",
    ] {
        assert_eq!(edits(reply), None, "{reply}");
    }
}

#[test]
fn remarks_beside_edits_are_no_edits() {
    for (reply, expected) in [
        ("The image already matches in style.\n- Add a red hat to the dog", HAT),
        ("**Add**: a red hat to the dog\n**Remove**: none", HAT),
        (
            "The style should be that of an oil painting.",
            "The style should be that of an oil painting.",
        ),
        ("Add a red hat to the dog. Make it bright.", "Add a red hat to the dog. Make it bright."),
        ("Dog: a red hat is missing", "Dog: a red hat is missing"),
        ("Add no hat.", "Add no hat."),
        (
            "Widen the wall and include a picture of a cat.",
            "Widen the wall and include a picture of a cat.",
        ),
        ("Add a sign that says \"I can't help it\".", "Add a sign that says \"I can't help it\"."),
        ("- No change to the cats.\n- Add a red hat to the dog", HAT),
        (
            "**Analysis**\nThere are no differences in style.\n\n**Edits**\n- Add a red hat to the dog",
            HAT,
        ),
        ("**Change**: the color of the hat to red", "Change the color of the hat to red"),
        ("{\"change\": \"the color of the hat to red\"}", "change the color of the hat to red"),
        ("Please add a red hat to the dog.", "Please add a red hat to the dog."),
    ] {
        assert_eq!(edits(reply), Some(vec![expected.to_owned()]), "{reply}");
    }
    // The last item of what was cut off is not whole.
    let reply = ChatReply::new("1. Add a red hat to the dog\n2. Remove the sec").cut_off();
    let read = super::super::edits(&Questions::default(), &reply);
    assert_eq!(read, Some(vec![HAT.to_owned()]));
}

#[test]
fn plans_may_be_in_other_languages() {
    let questions = Questions::default()
        .with_edits("Welche Änderungen braucht das Bild für „{prompt}“?")
        .with_none(["keine Änderung", "无需修改"])
        .with_refusals(["Das kann ich nicht"]);
    let read = |reply: &str| super::super::edits(&questions, &reply.into());
    let both = ["Setze dem Hund einen roten Hut auf.", "Entferne die zweite Katze."];
    let list = format!("1. {}\n2. {}", both[0], both[1]);
    assert_eq!(read(&list), Some(both.map(str::to_owned).to_vec()));
    assert_eq!(read("- 给狗加一顶红帽子\n- 去掉第二只猫").unwrap().len(), 2);
    assert_eq!(read("Keine Änderung."), Some(Vec::new()));
    assert_eq!(read("无需修改。"), Some(Vec::new()));
    assert_eq!(read("keine"), Some(Vec::new()));
    assert_eq!(read("Das kann ich nicht beantworten."), None);
}

proptest! {
    #[test]
    fn no_reply_panics_and_no_edit_is_blank_or_repeated(reply in ".{0,200}") {
        if let Some(edits) = edits(&reply) {
            for (n, edit) in edits.iter().enumerate() {
                prop_assert!(edit.contains(char::is_alphanumeric), "{reply:?}: {edits:?}");
                prop_assert!(!edits[..n].contains(edit), "{reply:?}: {edits:?}");
            }
        }
    }
}

const INSTRUCTIONS: &[&str] = &[
    "Add a red hat to the dog",
    "Remove the second cat.",
    "Replace the car with a bus",
    "Make the sky a deep blue.",
    "Change the style to an oil painting",
    "Move the lamp to the left of the table",
    "Add the words \"no smoking\" to the sign.",
    "Turn the photo into ukiyo-e",
    "Increase the number of zebras to 3",
    "Set the scene at dawn",
    "Put two more sheep (white) on the hill",
    "Erase everything behind the boat",
    "Give the woman a note",
    "Show the whole Eiffel Tower",
];

const PLAN_HEADINGS: &[&str] = &[
    "",
    "",
    "**Edits:**",
    "**Edit plan**",
    "### Edits",
    "Edits:",
    "The edits are:",
    "**Feedback**:",
    "Here are the necessary edits:",
    "## Suggested changes",
    "To make the image match the prompt:",
];

#[test]
fn edits_are_never_others() {
    let instructions = prop::sample::subsequence(INSTRUCTIONS.to_vec(), 1..6).prop_shuffle();
    let introduction = one_of(&[
        "",
        "",
        "Sure!",
        "Certainly!",
        "Of course.",
        "Based on the image, these edits are needed:",
    ]);
    let farewell = one_of(&[
        "",
        "",
        "Let me know if you need anything else!",
        "I hope this helps!",
        "These edits will make the image match the prompt.",
        "Note: the car is right as it is.",
        "No further edits are needed.",
        "The rest of the image matches the prompt.",
        "No other changes are necessary.",
        "Everything else is correct.",
    ]);
    let reason = one_of(&[
        "",
        "",
        "\nReason: the image shows it otherwise.",
        "\n   Reason: There is none.",
        "\n*Why:* it is not there",
        "\n   - **Rationale**: The prompt asks for it.",
        "\n   Because the prompt asks for it.",
        "\n   (Explanation: it is missing.)",
    ]);
    let json = prop::option::weighted(0.2, 0..7_usize);
    let cases = (
        thought(),
        answer_tag(),
        instructions,
        (layout(), json, any::<bool>(), reason),
        (introduction, one_of(PLAN_HEADINGS), farewell),
        end(),
    );
    nearly_always(&cases, |(thought, (open, close), items, shape, around_it, end)| {
        let ((marker, decoration, between), json, is_windows, reason) = shape;
        let (introduction, heading, farewell) = around_it;
        let items: Vec<String> = items.into_iter().map(str::to_owned).collect();
        let list = match json {
            Some(kind) => structured(&items, kind)
                .replace("\"concept\"", "\"edit\"")
                .replace("| concept |", "| edit |"),
            None if reason.is_empty() => lines(&items, marker, decoration, between),
            None => lines(&items, marker, &format!("{{}}{reason}"), between),
        };
        let text = around([introduction, heading, &list, farewell], is_windows);
        let reply = format!("{thought}{open}{text}{close}{end}");
        let read = edits(&reply).map(|edits| plain(&edits));
        never_wrong(read, &plain(&items), &reply)
    });
}

/// The words of each edit.
fn plain(edits: &[String]) -> Vec<Vec<String>> {
    edits.iter().map(|edit| words(edit)).collect()
}
