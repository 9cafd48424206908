//! Lists, orders and texts as models write them, to what each must mean.

use super::*;

#[test]
fn lists() {
    for (reply, items) in [
        // Headings and introductions.
        ("**Missing concepts:**\n- oil painting style\n- a sheep", BOTH),
        ("**Missing concepts**\n\noil painting style\na sheep", BOTH),
        ("### Missing concepts\n1. oil painting style\n2. a sheep", BOTH),
        ("# Missing concepts:\noil painting style\na sheep", BOTH),
        ("Missing concepts\noil painting style\na sheep", BOTH),
        ("The missing concepts will be:\noil painting style\na sheep", BOTH),
        ("Sure! Here are the missing concepts.\noil painting style\na sheep", BOTH),
        ("Certainly!\n\n* oil painting style\n* a sheep", BOTH),
        ("Based on the prompt, these are missing:\n\noil painting style\na sheep", BOTH),
        ("**Style:**\n- oil painting style\n\n**Content:**\n- a sheep", BOTH),
        ("- **Style:**\n  - oil painting style\n- **Content:**\n  - a sheep", BOTH),
        ("1. Style\n   - oil painting style\n2. Content\n   - a sheep", BOTH),
        ("- **Style**: oil painting style\n- **Content**: a sheep", BOTH),
        (
            "**Analysis:**\n- a photo\n- a dog\n\n**Missing concepts:**\n- oil painting style\n- a sheep",
            BOTH,
        ),
        ("Missing concepts: oil painting style, a sheep", BOTH),
        ("缺少的概念：\noil painting style\na sheep", BOTH),
        // Explanations.
        ("1. **oil painting style**: the image is a photo.\n2. **a sheep**: there is none.", BOTH),
        ("1. **oil painting style:** the image is a photo.\n2. **a sheep:** there is none.", BOTH),
        ("- **oil painting style** - the image is a photo\n- **a sheep** – there is none", BOTH),
        ("- oil painting style\n  - the image is a photo\n- a sheep\n  - there is none", BOTH),
        ("1. oil painting style\n- The image is a photo.\n2. a sheep\n- There is none.", BOTH),
        (
            "1. **oil painting style:**\n   - The image is a photo.\n2. **a sheep:**\n   - None.",
            BOTH,
        ),
        ("1. oil painting style\n   The image is a photo.\n2. a sheep\n   There is none.", BOTH),
        ("**oil painting style**\nThe image is a photo.\n\n**a sheep**\nThere is none.", BOTH),
        ("### oil painting style\nThe image is a photo.\n### a sheep\nThere is none.", BOTH),
        (
            "### 1. oil painting style\nThe image is a photo.\n\n### 2. a sheep\nThere is none.",
            BOTH,
        ),
        // Markers.
        ("+ oil painting style\n+ a sheep", BOTH),
        ("- [x] oil painting style\n- [x] a sheep", BOTH),
        ("[ ] oil painting style\n[ ] a sheep", BOTH),
        ("a) oil painting style\nb) a sheep", BOTH),
        ("A. oil painting style\nB. a sheep", BOTH),
        ("(a) oil painting style\n(b) a sheep", BOTH),
        ("i. oil painting style\nii. a sheep", BOTH),
        ("1、oil painting style\n2、a sheep", BOTH),
        ("1️⃣ oil painting style\n2️⃣ a sheep", BOTH),
        ("① oil painting style\n② a sheep", BOTH),
        ("1: oil painting style\n2: a sheep", BOTH),
        ("1 - oil painting style\n2 - a sheep", BOTH),
        ("[1] oil painting style\n[2] a sheep", BOTH),
        ("**1.** oil painting style\n**2.** a sheep", BOTH),
        ("**1. oil painting style**\n**2. a sheep**", BOTH),
        ("- 1. oil painting style\n- 2. a sheep", BOTH),
        ("Concept 1: oil painting style\nConcept 2: a sheep", BOTH),
        ("**Concept 1:** oil painting style\n**Concept 2:** a sheep", BOTH),
        ("• oil painting style\n• a sheep", BOTH),
        ("– oil painting style\n– a sheep", BOTH),
        ("✅ oil painting style\n✅ a sheep", BOTH),
        ("-oil painting style\n-a sheep", BOTH),
        // Quotes.
        ("„oil painting style“\n„a sheep“", BOTH),
        ("« oil painting style »\n« a sheep »", BOTH),
        ("»oil painting style«\n»a sheep«", BOTH),
        ("「oil painting style」\n「a sheep」", BOTH),
        ("‘oil painting style’\n‘a sheep’", BOTH),
        ("`oil painting style`\n`a sheep`", BOTH),
        ("\"oil painting style\",\n\"a sheep\"", BOTH),
        ("- \"**oil painting style**\"\n- \"**a sheep**\"", BOTH),
        // JSON.
        ("[\"oil painting style\", \"a sheep\"]", BOTH),
        ("```json\n[\"oil painting style\", \"a sheep\"]\n```", BOTH),
        ("```json\n{\"missing_concepts\": [\"oil painting style\", \"a sheep\"]}\n```", BOTH),
        ("Here is the list: [\"oil painting style\", \"a sheep\"]. Let me know!", BOTH),
        ("['oil painting style', 'a sheep',]", BOTH),
        ("{\"style\": [\"oil painting style\"], \"content\": [\"a sheep\"]}", BOTH),
        (
            "{\"concepts\": [{\"concept\": \"oil painting style\", \"why\": \"a photo\"}, {\"concept\": \"a sheep\"}]}",
            BOTH,
        ),
        ("{\"oil painting style\": \"it is a photo\", \"a sheep\": \"there is none\"}", BOTH),
        ("{\"concept\": \"oil painting style\"}\n{\"concept\": \"a sheep\"}", BOTH),
        ("{\"answer\": \"oil painting style\\na sheep\"}", BOTH),
        ("[\"oil painting style\", \"a sheep\", \"a blue c", BOTH),
        // Tags and tables.
        ("<answer>oil painting style\na sheep</answer>", BOTH),
        ("<think>a dog?</think><|begin_of_box|>oil painting style\na sheep<|end_of_box|>", BOTH),
        ("<item>oil painting style</item><item>a sheep</item>", BOTH),
        (
            "<missing_concepts>\n<concept>oil painting style</concept>\n<concept>a sheep</concept>\n</missing_concepts>",
            BOTH,
        ),
        ("<concept1>oil painting style</concept1>\n<concept2>a sheep</concept2>", BOTH),
        ("<ul><li>oil painting style</li><li><b>a sheep</b></li></ul>", BOTH),
        (
            "| concept | why |\n|---|---|\n| oil painting style | a photo |\n| a sheep | none |",
            BOTH,
        ),
        ("| # | concept |\n|:-:|---|\n| 1 | **oil painting style** |\n| 2 | a sheep |", BOTH),
        // Farewells.
        ("oil painting style\na sheep\n\nLet me know if you need more!", BOTH),
        ("- oil painting style\n- a sheep\n\nI hope this helps.", BOTH),
        ("- oil painting style\n- a sheep\n\nThe rest of the prompt is there.", BOTH),
        ("oil painting style\na sheep\n\nWould you like captions for these?", BOTH),
        ("oil painting style\na sheep\nFeel free to ask.", BOTH),
        ("oil painting style\na sheep\n\n**Note:** the car is there.", BOTH),
        ("oil painting style\na sheep\n---\nThese are the missing concepts.", BOTH),
        // In one line.
        ("1) oil painting style; 2) a sheep", BOTH),
        ("\"oil painting style\", \"a sheep\"", BOTH),
        ("concepts = [\"oil painting style\", \"a sheep\"]", BOTH),
        ("{\"style\": \"oil painting style\", \"content\": \"a sheep\"}", BOTH),
        ("1.oil painting style\n2.a sheep", BOTH),
        ("I. oil painting style\nII. a sheep", BOTH),
        ("- oil painting style: the image is a photo\n- a sheep - not visible", BOTH),
        ("oil painting style\na sheep\n\n(All other concepts are present.)", BOTH),
        ("Sure! a sheep", &["a sheep"]),
        // Which of them are missing?
        ("✅ a car\n❌ a sheep", &[]),
        ("- The image shows a dog instead of a sheep\n- an oil painting", &[]),
        ("There are no missing concepts in this image.", &[]),
        ("(none)", &[]),
        ("Missing concepts:", &[]),
        ("2001: A Space Odyssey\n24: the series", &["2001: A Space Odyssey", "24: the series"]),
        // Nothing but what is said.
        ("a sheep (you cannot see one)\na dog", &["a sheep (you cannot see one)", "a dog"]),
        ("a sign: \"I can't help it\"", &["a sign: \"I can't help it\""]),
        ("Star Wars: A New Hope", &["Star Wars: A New Hope"]),
        ("E. coli bacteria\na sheep", &["E. coli bacteria", "a sheep"]),
        ("- a 3.5 inch disk\n- 101 dalmatians", &["a 3.5 inch disk", "101 dalmatians"]),
        ("a shirt by <EXIT>", &["a shirt by <EXIT>"]),
        ("[SALE] sign\na sheep", &["[SALE] sign", "a sheep"]),
        ("M*A*S*H logo\n*a sheep*", &["M*A*S*H logo", "a sheep"]),
        ("- overalls\n- a Thanksgiving turkey", &["overalls", "a Thanksgiving turkey"]),
        ("overalls\nThanksgiving turkey\na note", &["overalls", "Thanksgiving turkey", "a note"]),
        ("a photo of a\n", &["a photo of a"]),
        ("1. a sheep\nstanding on grass\n2. a dog", &["a sheep standing on grass", "a dog"]),
        ("rock & roll style\nR&amp;B poster", &["rock & roll style", "R&B poster"]),
        ("None", &[]),
        ("Nothing is missing.", &[]),
        ("The image matches the prompt.", &[]),
        ("{\"missing_concepts\": []}", &[]),
        ("[]", &[]),
        ("I'm sorry, but I can't see the image.", &[]),
        ("The image is blurry. I cannot determine the differences.", &[]),
        // Pleas for the image.
        ("I don't see an image in your message. Could you please share it?", &[]),
        ("No image was provided.", &[]),
        ("Could you please provide the image?", &[]),
        ("Please upload the image so that I can compare it.", &[]),
        ("I notice that no image has been included with your message.", &[]),
        ("It looks like the image didn't come through.", &[]),
        ("The picture has not been attached. Can you send it again?", &[]),
        // What is there, and what is no item.
        ("Style: matches the prompt\nContent: a sheep", SHEEP),
        ("Style: same\na sheep", SHEEP),
        ("- Style: correct\n- Content: a sheep", SHEEP),
        ("**Style**: Matches\n**Content**: a sheep", SHEEP),
        ("Content: all present\nStyle: no style differences", &[]),
        ("Present: golden retriever\nMissing: a sheep", SHEEP),
        ("- **Present:** golden retriever\n- a sheep", SHEEP),
        ("- golden retriever (present)\n- a sheep", SHEEP),
        ("- golden retriever: present\n- a sheep", SHEEP),
        ("- golden retriever - already in the image\n- a sheep", SHEEP),
        ("| Concept | Present? |\n|---|---|\n| golden retriever | Yes |\n| a sheep | No |", SHEEP),
        ("| Concept | Missing |\n|---|---|\n| golden retriever | no |\n| a sheep | yes |", SHEEP),
        ("{\"golden retriever\": \"present\", \"a sheep\": \"missing\"}", SHEEP),
        (
            "[{\"concept\": \"golden retriever\", \"present\": true}, {\"concept\": \"a sheep\", \"present\": false}]",
            SHEEP,
        ),
        ("a sheep\n(The golden retriever is already present.)", SHEEP),
        ("a sheep\nThe golden retriever is present.", SHEEP),
        ("- a sheep\n- The two dogs are visible.", SHEEP),
        ("a sheep\nTotal: 1", SHEEP),
        ("a sheep\nEND", SHEEP),
        ("a sheep\nuser: thanks", SHEEP),
        ("a sheep\nHuman: ok", SHEEP),
        ("Prompt: a sheep and a dog\nImage: a dog\n\na sheep", SHEEP),
        ("**Required prompt:** a sheep and a dog\n- a sheep", SHEEP),
        ("{\"a sheep\": true, \"golden retriever\": false}", &[]),
        ("- a sheep: yes\n- golden retriever: no", &[]),
        ("Everything is missing", &[]),
        ("All of them", &[]),
        ("无", &[]),
        ("特になし", &[]),
        ("Нет", &[]),
        ("keine", &[]),
        ("ninguno.", &[]),
        ("Aucun", &[]),
        ("niets", &[]),
        ("없음", &[]),
        // What explains an item.
        ("a sheep (the image shows a goat instead)", SHEEP),
        ("a sheep (missing)", SHEEP),
        ("a sheep (not shown).", SHEEP),
        ("a sheep: no sheep is visible.", SHEEP),
        ("The only missing concept is a sheep.", SHEEP),
        ("What is missing is a sheep", SHEEP),
        ("The missing concepts are a sheep and a dog.", &[]),
        ("Missing a sheep", SHEEP),
        ("a sheep is missing", SHEEP),
        ("- a sheep is not visible in the image.", SHEEP),
        ("a sheep isn't present", SHEEP),
        ("a sheep missing", SHEEP),
        ("a sheep\n(no style concepts missing)", SHEEP),
        ("The image is missing a sheep.", &[]),
        ("The entire prompt content is missing.", &[]),
        ("\"oil painting style\\na sheep\"", BOTH),
        ("Lack of a sheep", SHEEP),
        ("Absence of a sheep", SHEEP),
        ("\\boxed{a sheep}", SHEEP),
        ("$\\boxed{\\text{a sheep}}$", SHEEP),
        ("[style] oil painting style\n[content] a sheep", BOTH),
        ("noon lighting -> dawn lighting\na goat → a sheep", &["dawn lighting", "a sheep"]),
        ("a sheep -> not shown", SHEEP),
        (
            "oil painting style: The image is a photo.\na sheep: The animal is of another kind.",
            BOTH,
        ),
        ("a sheep\na sheep.", SHEEP),
        ("[\"oil painting style\\\\na sheep\"]", BOTH),
        (
            "Missing concepts:\n- oil painting style\n- a sheep\n\nCaptions:\n- A village in oil\n- A sheep on grass",
            BOTH,
        ),
        ("oil painting style\na sheep\n\n**Image captions**\nA village in oil", BOTH),
        ("- oil painting style\n- a sheep\n- Let me know if you need captions!", BOTH),
        ("- oil painting style\n- a sheep\n- Would you like captions?", BOTH),
        ("Of course! oil painting style\na sheep", BOTH),
        ("#1 oil painting style\n#2 a sheep", BOTH),
        ("a missing person poster\na sheep", &["a missing person poster", "a sheep"]),
        ("missing person poster", &["missing person poster"]),
        ("a photo of Martin Luther King Jr.", &["a photo of Martin Luther King Jr."]),
        ("<think>a sheep\na dog", &[]),
    ] {
        assert_eq!(list(reply), items, "{reply:?}");
    }
}

const SHEEP: &[&str] = &["a sheep"];
const BOTH: &[&str] = &["oil painting style", "a sheep"];

#[test]
fn what_was_cut_off_has_no_last_item() {
    for (reply, items) in [
        ("a sheep\na do", vec!["a sheep"]),
        ("- a sheep\n- a dog\n", vec!["a sheep", "a dog"]),
        ("a sh", vec![]),
        ("[\"a sheep\", \"a dog\", \"a b", vec!["a sheep", "a dog"]),
        ("[\"a sheep\", \"a dog\"", vec!["a sheep"]),
        ("<think>a sheep\na dog", vec![]),
    ] {
        let reply = ChatReply::new(reply).cut_off();
        let items: Vec<String> = items.into_iter().map(Into::into).collect();
        let read = concepts(&Questions::default(), &reply).unwrap_or_default();
        assert_eq!(read, items, "{reply:?}");
    }
    let decide = |text: &str| {
        let questions = Questions::default();
        crate::vlm::parse::yes_or_no(
            &questions,
            &questions.decision,
            &ChatReply::new(text).cut_off(),
        )
    };
    assert_eq!(decide("No, the image shows a"), NO);
    assert_eq!(decide("Yes"), YES);
    assert_eq!(decide("The draft has wings, so yes. But"), AGAIN);
    assert_eq!(decide("<think>no wings, and"), AGAIN);
    let indices = |text: &str| {
        crate::vlm::parse::indices(&Questions::default(), &ChatReply::new(text).cut_off(), 20)
    };
    assert_eq!(indices("2, 0, 1"), [2, 0]);
    let text =
        crate::vlm::parse::text(&Questions::default(), &ChatReply::new("a bird on").cut_off());
    assert_eq!(text, None);
}

#[test]
fn orders() {
    for (reply, named) in [
        ("<think>0, 1, 2 or 3?</think>2, 0", vec![2, 0]),
        ("[THINK]0, 1, 3[/THINK]2,0", vec![2, 0]),
        ("<answer>2, 0</answer>", vec![2, 0]),
        ("{\"ranking\": [2, 0], \"reason\": \"image 3 is a dog\"}", vec![2, 0]),
        ("[{\"index\": 2, \"score\": 0.9}, {\"index\": 0, \"score\": 0.4}]", vec![2, 0]),
        ("{\"images\": [{\"image\": \"Image 2\"}, {\"image\": \"Image 0\"}]}", vec![2, 0]),
        ("1st: 2, 2nd: 0", vec![2, 0]),
        ("Rank 1: Image 2\nRank 2: Image 0", vec![2, 0]),
        ("2 (0.95), 0 (0.4)", vec![2, 0]),
        ("2 > 0", vec![2, 0]),
        ("The best is 2, followed by 0.", vec![2, 0]),
        ("| Rank | Image |\n|---|---|\n| 1 | 2 |\n| 2 | 0 |", vec![2, 0]),
        ("image2, image0", vec![2, 0]),
        ("{\"0\": 2, \"1\": 0}", vec![]),
        ("The order is 2, 0.", vec![2, 0]),
        ("I'm sorry, I cannot rank 2 images.", vec![]),
        ("<think>2, 0", vec![]),
    ] {
        assert_eq!(indices(reply, 6), named, "{reply:?}");
    }
}

#[test]
fn texts() {
    let prompt = "A green bird with a long tail, at dawn";
    for reply in [
        "{}",
        "\"{}\"",
        "“{}”",
        "**{}**",
        "Sure! Here is a clearer prompt:\n\n\"{}\"",
        "Here is the rephrased prompt: \"{}\"",
        "Rephrased prompt: {}",
        "**Rephrased prompt:** \"{}\"",
        "**Prompt:**\n{}\n\nThis version replaces the rare word.",
        "```\n{}\n```",
        "Here you go:\n```text\n{}\n```\nLet me know if it works.",
        "{\"prompt\": \"{}\"}",
        "```json\n{\"rephrased_prompt\": \"{}\"}\n```",
        "<think>quetzal is rare</think>\n{}",
        "<answer>{}</answer>",
        "<prompt>{}</prompt>",
        "\"{}\"\n\nI simplified the description.",
        "> {}",
        "{}<|im_end|>",
        "Sure! {}",
        "The prompt is already clear.\n\n{}",
    ] {
        let reply = reply.replace("{}", prompt);
        assert_eq!(text(&reply).as_deref(), Some(prompt), "{reply}");
    }
    for reply in ["", "\"\"", "...", "I'm sorry, I can't help with that.", "<think>a green"] {
        assert_eq!(text(reply), None, "{reply}");
    }
    assert_eq!(text("a poster: \"yes\"").as_deref(), Some("a poster: \"yes\""));
}
