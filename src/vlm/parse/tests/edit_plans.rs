//! Plans of edits with what models write around them: reasons, tables, remarks, and words for nothing.

use super::*;

/// What `reply` plans, without full stops; `None` where the question is asked again.
fn edits(reply: &str) -> Option<Vec<String>> {
    let plain = |edit: &String| edit.trim_end_matches('.').to_owned();
    super::super::edits(&Questions::default(), &reply.into())
        .map(|edits| edits.iter().map(plain).collect())
}

const CAR: &str = "Make the car red";
const DOG: &str = "Add a dog";

#[test]
fn reasons_are_left_out_and_edits_kept() {
    for reply in [
        "1. Make the car red.\n   Reason: It is blue.\n2. Add a dog.\n   Reason: There is none.",
        "1. Make the car red.\nReason: It is blue.\n2. Add a dog.\nReason: There is none.",
        "Edit 1: Make the car red.\nReason: It is blue.\n\nEdit 2: Add a dog.\nReason: There is none.",
        "**Edit 1:** Make the car red.\n*Reason:* It is blue.\n\n**Edit 2:** Add a dog.\n*Reason:* There is none.",
        "**Edit 1:**\nMake the car red.\n*Reason:*\nIt is blue.\n\n**Edit 2:**\nAdd a dog.\n*Reason:*\nThere is none.",
        "1. Make the car red.\n   Explanation: It is blue.\n2. Add a dog.\n   Explanation: There is none.",
        "- Make the car red.\nWhy: It is blue.\n- Add a dog.\nWhy: There is none.",
        "Make the car red.\nWhy: It is blue.\nAdd a dog.\nWhy: There is none.",
        "1. Make the car red.\n   - **Rationale**: It is blue.\n2. Add a dog.\n   - **Rationale**: There is none.",
        "1. Make the car red.\n   Because it is blue.\n2. Add a dog.\n   Because there is none.",
        "1. Make the car red. Reason: It is blue.\n2. Add a dog. Reason: There is none.",
        "1. Make the car red.\n   (Reason: it is blue.)\n2. Add a dog.\n   (Reason: there is none.)",
        "Make the car red.\n\nReason: It is blue.\n\nAdd a dog.\n\nReason: There is none.",
        "1. Issue: The car is blue.\n   Edit: Make the car red.\n2. Issue: There is no dog.\n   Edit: Add a dog.",
        "1. The car is blue.\n   Edit: Make the car red.\n2. There is no dog.\n   Edit: Add a dog.",
        "Issue 1: The car is blue.\nFix: Make the car red.\nIssue 2: There is no dog.\nFix: Add a dog.",
        "Problem: The car is blue.\nEdit:\nMake the car red.\n\nProblem: There is no dog.\nEdit:\nAdd a dog.",
        "**Car**\n- Current: blue\n- Edit: Make the car red\n\n**Dog**\n- Current: none\n- Edit: Add a dog",
        "Reasoning: The car is blue and there is no dog.\n\n1. Make the car red.\n2. Add a dog.",
        "First edit:\nMake the car red.\n\nSecond edit:\nAdd a dog.",
        "Required edits:\n- Make the car red.\n\nSuggested edits:\n- Add a dog.",
        "Here's my plan:\n\n1. **Make the car red** - Reason: it is blue.\n2. **Add a dog** - Reason: there is none.",
        "### Edit 1\n**Instruction:** Make the car red.\n**Reason:** It is blue.\n\n### Edit 2\n**Instruction:** Add a dog.\n**Reason:** There is none.",
        "Edit #1: Make the car red.\nEdit #2: Add a dog.",
        "1. Edit: Make the car red.\n   Justification: It is blue.\n2. Edit: Add a dog.\n   Justification: There is none.",
        "The car is blue, but it should be red, and there is no dog.\n\n- Make the car red.\n- Add a dog.",
        "The following edits are needed:\n• Make the car red.\n• Add a dog.\n\nThat's all.",
        "Make the car red.\nAdd a dog.\n\nOtherwise the image is fine.",
        "Make the car red.\nAdd a dog.\n\nThe rest of the image already matches the prompt.",
        "Make the car red;\nAdd a dog;",
        "<ol><li>Make the car red</li><li>Add a dog</li></ol>",
        "{\"edits\":[{\"issue\":\"The car is blue.\",\"fix\":\"Make the car red\"},{\"issue\":\"no dog\",\"fix\":\"Add a dog\"}]}",
        "{\"edits\":[{\"object\":\"car\",\"change\":\"Make the car red\"},{\"object\":\"dog\",\"change\":\"Add a dog\"},{\"object\":\"sky\",\"change\":null}]}",
        "edits:\n  - Make the car red\n  - Add a dog",
        "```yaml\nedits:\n  - Make the car red\n  - Add a dog\n```",
        "1. Make the car red\n\nReason: It is blue.\n\n2. Add a dog\n\nReason: There is none.\n\nThese edits bring the image in line with the prompt.",
        "Issues:\n1. The car is blue.\n2. There is no dog.\n\nEdits:\n1. Make the car red.\n2. Add a dog.",
        "Differences:\n- The car is blue.\n- The dog is missing.\n\nEdits:\n- Make the car red.\n- Add a dog.",
        "Edits:\n- Make the car red.\n- Add a dog.\n\nReasons:\n- The car is blue.\n- The dog is missing.",
        "1. The car is blue → Make the car red\n2. There is no dog → Add a dog",
        "✅ Tree: correct\n❌ Car: Make the car red\n❌ Dog: Add a dog",
        "Object | Status | Edit\n--- | --- | ---\nCar | wrong | Make the car red\nDog | missing | Add a dog\nTree | OK | None",
        "| Edit | Reason |\n|:--|:--|\n| 1. Make the car red | blue |\n| 2. Add a dog | none |",
        "The edits are as follows:\nMake the car red.\nAdd a dog.\nNo additional changes.",
        "<edit>Make the car red.</edit>\n<edit>Add a dog.</edit>",
        "No, it does not match.\n- Make the car red.\n- Add a dog.",
        "No.\n1. Make the car red.\n2. Add a dog.",
        "Current state: The car is blue.\nDesired state: The car is red.\nEdit: Make the car red.\n\nEdit: Add a dog.",
    ] {
        assert_eq!(edits(reply), Some(vec![CAR.into(), DOG.into()]), "{reply}");
    }
}

#[test]
fn a_table_has_its_edits_in_the_column_that_is_called_so() {
    let rule = "|---|---|---|---|\n";
    for heading in ["Edit", "Instruction", "Change", "Action", "Fix", "Suggested edit", "**Edit**"]
    {
        for rule in [rule, ""] {
            let last = format!(
                "| # | Object | Problem | {heading} |\n{rule}| 1 | car | is blue | Make the car red |\n| 2 | dog | missing | Add a dog |"
            );
            let first = format!(
                "{heading} | Object | Problem | No.\n{rule}Make the car red | car | is blue | 1\nAdd a dog | dog | missing | 2"
            );
            for reply in [last, first] {
                assert_eq!(edits(&reply), Some(vec![CAR.into(), DOG.into()]), "{reply}");
            }
        }
    }
    let verbs = "| Action | Object | Reason |\n|---|---|---|\n| Add | a dog | none is there |\n| Remove | the cat | not asked for |";
    assert_eq!(edits(verbs), Some(vec![DOG.into(), "Remove the cat".into()]));
    let steps = "| Step | Edit |\n|---|---|\n| Step 1 | Make the car red |\n| Step 2 | Add a dog |";
    assert_eq!(edits(steps), Some(vec![CAR.into(), DOG.into()]));
    let some = "| Object | Edit |\n|---|---|\n| car | Make the car red |\n| tree | none |\n| sun | No change needed |\n| sky | - |";
    assert_eq!(edits(some), Some(vec![CAR.into()]));
    let below = "| Edit |\n|---|\n| Make the car red |\n\nAdd a dog.";
    assert_eq!(edits(below), Some(vec![CAR.into(), DOG.into()]));
    for reply in [
        "| Object | Problem |\n|---|---|\n| car | is blue |\n| dog | missing |",
        "| Object | Problem |\n| car | is blue |\n| dog | missing |",
    ] {
        assert_eq!(edits(reply), None, "{reply}");
    }
}

#[test]
fn nothing_to_do_is_told_in_many_ways() {
    for reply in [
        "Since the image already matches the prompt, no edits are needed.",
        "Based on the comparison, no edits are required.",
        "After comparing the image with the prompt, I find that no edits are needed.",
        "The car is red, the tree is beside it, so no edits are required.",
        "All elements of the prompt are present: the car, the tree. No edits required.",
        "Both the car and the tree are present and correct.",
        "I think the image already matches the prompt.",
        "No, the image matches the prompt.",
        "We don't need any edits.",
        "I don't see any need for changes.",
        "I would not change anything in this image.",
        "I wouldn't change anything.",
        "I found no discrepancies between the image and the prompt.",
        "Leave the image as it is.",
        "Keep the image as it is.",
        "It's fine as is.",
        "Looks good to me!",
        "0 edits needed.",
        "Zero edits.",
        "0",
        "none - the image matches",
        "None; everything matches.",
        "**Answer:** none (the image already matches the prompt)",
        "- Red car: present ✓\n- Tree: present ✓\nNone.",
        "Tree: no change needed.",
        "Tree: none",
        "Tree: OK",
        "Keep the tree unchanged.",
        "{\"object\":\"tree\",\"instruction\":\"none\"}",
        "The image does not need any edits.",
        "The image matches the prompt. None.",
        "The generated image matches the prompt, so none.",
        "There are no differences. None.",
        "Everything is there. None.",
        "No edits are needed. The car is red, the tree is beside it, and the dog is present.",
        "There isn't anything to change.",
        "{\"edits\": null}",
        "Make no changes.",
        "Edit 1: none",
        "Edits are not needed.",
        "Nothing is missing from the image.",
        "The image is perfect.",
        "There is no need for any further edits.",
        "No modifications are necessary, as the image fully matches the prompt.",
        "The image doesn't require any changes.",
        "| Object | Edit |\n|---|---|\n| car | none |\n| tree | no change needed |",
        "There's no need to edit the image.",
        "The image is already a perfect match.",
        "No edits needed! The image matches the prompt.",
        "I see no differences.",
        "I couldn't find any differences between the image and the prompt.",
        "Everything matches.",
        "Everything looks correct.",
        "The image is correct as it is.",
        "The image fully matches the prompt; therefore, no edits.",
        "N/A",
        "[]",
        "[None]",
        "{\"edits\": \"none\"}",
        "{\"edits\": [\"No edits needed.\"]}",
        "{\"edits\": [{\"edit\": \"none\"}]}",
        "**No edits are needed.**",
        "None needed.",
        "Nothing to change.",
        "Nothing.",
        "Not needed.",
        "No edit is necessary because the image matches.",
        "As the image matches the prompt, there is nothing to be changed.",
        "It already matches.",
        "The prompt is fully satisfied.",
        "You don't need to change anything.",
        "No need to change anything.",
        "All good.",
        "Perfect match.",
        "Do not change anything.",
        "Don't change anything.",
        "No action required.",
        "No adjustments.",
        "None\n\nThe car is red and the tree is beside it.",
        "Reason: The image matches.\nEdits: none",
        "Edits: 0",
        "Edits: []",
        "(none)",
        "Final answer: none",
        "none.\nLet me know if you need anything else!",
        "Leave everything unchanged.",
        "The image faithfully depicts the prompt, so I have no edits to suggest.",
        "Tree: unchanged",
        "Car: matches",
        "- Car: correct\n- Tree: correct",
        "No changes.",
        "Zero.",
        "The image shows a red car next to a tree, which matches the prompt. No edits needed.",
    ] {
        assert_eq!(edits(reply), Some(Vec::new()), "{reply}");
    }
}

#[test]
fn what_is_right_stands_beside_edits() {
    for reply in [
        "1. Make the car red.\n2. Add a dog.\n\nNo further edits are needed.",
        "1. Make the car red.\n2. Add a dog.\n\nNo other changes are needed.",
        "Make the car red. Add a dog. No further edits are needed.",
        "- Make the car red\n- Tree: no change needed.\n- Add a dog",
        "- Make the car red\n- Tree: none\n- Sky: OK\n- Add a dog",
        "1. Make the car red.\n2. Keep the tree unchanged.\n3. Add a dog.",
        "[{\"object\":\"tree\",\"instruction\":\"none\"},{\"object\":\"car\",\"instruction\":\"Make the car red\"},{\"instruction\":\"Add a dog\"}]",
        "[{\"name\":\"edit\",\"arguments\":{\"instruction\":\"Make the car red\"}},{\"name\":\"edit\",\"arguments\":{\"instruction\":\"Add a dog\"}}]",
        "{\"tool_calls\":[{\"function\":{\"name\":\"edit\",\"arguments\":\"{\\\"instruction\\\":\\\"Make the car red\\\"}\"}},{\"function\":{\"name\":\"edit\",\"arguments\":\"{\\\"instruction\\\":\\\"Add a dog\\\"}\"}}]}",
        "<tool_call>\n{\"name\":\"edit\",\"arguments\":{\"instruction\":\"Make the car red\"}}\n</tool_call>\n<tool_call>\n{\"name\":\"edit\",\"arguments\":{\"instruction\":\"Add a dog\"}}\n</tool_call>",
        "\\begin{enumerate}\n\\item Make the car red.\n\\item Add a dog.\n\\end{enumerate}",
        "- [x] Make the car red\n- [ ] Add a dog",
        "- [x] Make the car red\n- Add a dog",
        "The tree is right. Make the car red.\nAdd a dog.",
        "1. Car: Make the car red\n2. Dog: Add a dog",
        "1. Car\n   - Make the car red\n2. Dog\n   - Add a dog",
        "Edit 1 - Make the car red\nEdit 2 - Add a dog",
    ] {
        assert_eq!(edits(reply), Some(vec![CAR.into(), DOG.into()]), "{reply}");
    }
    for (reply, expected) in [
        (
            "I would make the car red.\nI would add a dog.",
            ["I would make the car red", "I would add a dog"],
        ),
        (
            "You should make the car red.\nPlease add a dog.",
            ["You should make the car red", "Please add a dog"],
        ),
        (
            "I suggest making the car red.\nI'd add a dog.",
            ["I suggest making the car red", "I'd add a dog"],
        ),
        (
            "- The car should be red.\n- There should be a dog.",
            ["The car should be red", "There should be a dog"],
        ),
        (
            "1. Add a dog.\n   Make it brown.\n2. Make the car red",
            ["Add a dog. Make it brown", CAR],
        ),
    ] {
        assert_eq!(edits(reply), Some(expected.map(str::to_owned).to_vec()), "{reply}");
    }
}

#[test]
fn what_instructs_nobody_is_no_edit() {
    for reply in [
        "This request violates our content policy.",
        "Error: content filtered",
        "I'm not sure.",
        "Edits:",
        "asdf",
        "The car is blue.",
        "The car is blue and the dog is missing.",
        "A blue car stands in front of a tree.",
        "- A red car on the road.\n- A tree beside it.",
        "Color and style match the prompt.",
        "The image does not match and needs changes.",
        "The image is almost perfect.",
        "Keine Änderungen nötig.",
        "- Keine Änderungen nötig.",
        "无需修改。",
        "- 无需修改。",
        "Aucune modification n'est nécessaire.",
        "No se necesitan cambios.",
        "変更は必要ありません。",
        "I have compared the image with the prompt.",
        "What should be changed?",
        "No edits are needed.\n1. Make the car red.",
        "Make these edits.",
        "Let me know what to change.",
        "Content policy violation",
        "I am not certain what to change.",
        "Perhaps the car.",
        "Maybe the image matches.",
        "The prompt is unclear.",
        "Thinking...",
        "N",
        "...",
        "edit",
        "Make",
        "Plan",
        "Sure!",
        "Here are the edits:",
        "Sure, here are the edits:\n",
        "The image cannot be evaluated.",
        "blocked",
        "Your request was flagged.",
        "Rate limit exceeded",
        "An error occurred.",
        "Hello! How can I help you today?",
        "This image contains a person. I don't edit people.",
        "The dog is missing.",
        "It is a photo of a car",
        "A photo of a red car.",
        "There are two cars instead of one.",
        "red car",
        "Please provide more details.",
        "What would you like me to change?",
        "I need more information to make edits.",
        "Show me the image.",
        "Give me the prompt.",
        "You should check the car.",
        "Reason: The car is blue.",
        "The sky is good, but the car is blue.",
        "Add",
        "Request blocked.",
        "- Error: blocked",
        "Il n'y a rien à changer.",
        "L'image correspond déjà.",
        "特に変更なし。",
        "変更不要",
        "不需要任何修改。",
        "图片已经符合提示。",
        "No hay cambios necesarios.",
        "Color matches the prompt.",
        "To make the image match the prompt:",
    ] {
        assert_eq!(edits(reply), None, "{reply}");
    }
}

#[test]
fn words_for_nothing_are_those_of_the_questions() {
    let questions = Questions::default().with_none([
        "keine Änderungen",
        "keine Änderungen nötig",
        "无需修改",
        "Aucune modification",
        "変更は必要ありません",
    ]);
    for reply in [
        "Keine Änderungen nötig.",
        "Keine Änderungen nötig, das Bild passt.",
        "- 无需修改。",
        "Aucune modification.",
        "変更は必要ありません。",
    ] {
        let read = super::super::edits(&questions, &reply.into());
        assert_eq!(read, Some(Vec::new()), "{reply}");
    }
}

#[test]
fn lines_of_another_language_are_edits_where_the_question_is_in_it() {
    let reply = "Mach das Auto rot.\nFüge einen Hund hinzu.";
    let questions = Questions::default().with_edits("Welche Änderungen für „{prompt}“?");
    let read = |reply: &str| super::super::edits(&questions, &reply.into());
    assert_eq!(read(reply).unwrap(), ["Mach das Auto rot.", "Füge einen Hund hinzu."]);
    assert_eq!(read("Das Bild passt bereits."), None);
    assert_eq!(edits(reply), None);
}

#[test]
fn an_instruction_may_stand_within_a_sentence_and_needs_what_it_speaks_of() {
    for (reply, expected) in [
        (
            "1. The car is blue. Make it red.\n2. Add a dog.",
            vec!["The car is blue. Make it red", DOG],
        ),
        (
            "1. Make the car red.\n2. There is no dog, so add one.",
            vec![CAR, "There is no dog, so add one"],
        ),
        ("In the background, add a mountain.", vec!["In the background, add a mountain"]),
        ("1. Slightly darken the sky.\n2. Add a dog.", vec!["Slightly darken the sky", DOG]),
        ("- Add a dog\n- (optional) Make the car red", vec![DOG, "(optional) Make the car red"]),
        ("| Object | Edit |\n|---|---|\n| car | Make it red |", vec!["car: Make it red"]),
        ("{\"changes\": {\"car\": \"Make it red\", \"tree\": \"none\"}}", vec!["car: Make it red"]),
        ("- Keep only one cat.\n- Add a dog.", vec!["Keep only one cat", DOG]),
        ("1. Mach das Auto rot.\n   Grund: Es ist blau.", vec!["Mach das Auto rot"]),
        (
            "Replace \"No changes needed\" with \"Open\".",
            vec!["Replace \"No changes needed\" with \"Open\""],
        ),
        (
            "| Element | Prompt | Image |\n|---|---|---|\n| car | red | blue |\n\n1. Make the car red.",
            vec![CAR],
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(edits(reply), Some(expected), "{reply}");
    }
    for reply in ["1. Red car\n2. A dog", "{\"car\": \"red\", \"dog\": \"missing\"}"] {
        assert_eq!(edits(reply), None, "{reply}");
    }
}
