//! Arguments of stable-diffusion.cpp to a prompt that holds them, as its compatible interface reads them.

use serde_json::Value;

/// The tag whose content `sd-server` takes out of a prompt and reads as arguments.
const TAG: &str = "sd_cpp_extra_args";

/// `prompt` with `arguments` behind it. A prompt that names the tag itself cannot set any: the name is
/// taken apart there, which `notes` tell.
pub(super) fn prompt_with_arguments(
    prompt: &str,
    arguments: &Value,
    notes: &mut Vec<String>,
) -> String {
    let harmless = without_tag(prompt);
    if harmless != prompt {
        notes.push(format!("{TAG} in the prompt is sent as words"));
    }
    // As JSON has it: in its strings, which hold what callers say, no tag can begin.
    let json = arguments.to_string().replace('<', "\\u003c");
    format!("{harmless} <{TAG}>{json}</{TAG}>")
}

/// `text` in which the name of the tag, however it is spelt, is three words.
fn without_tag(text: &str) -> String {
    let (lower, mut kept, mut from) = (text.to_ascii_lowercase(), String::new(), 0);
    for (at, found) in lower.match_indices(TAG) {
        kept += &text[from..at];
        kept += &text[at..at + found.len()].replace('_', " ");
        from = at + found.len();
    }
    kept + &text[from..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(prompt: &str, arguments: Value) -> (String, Vec<String>) {
        let mut notes = Vec::new();
        let sent = prompt_with_arguments(prompt, &arguments, &mut notes);
        (sent, notes)
    }

    #[test]
    fn arguments_stand_behind_the_prompt() {
        let (sent, notes) = sent("a bee", json!({ "seed": 7, "negative_prompt": "blur" }));
        let expected =
            r#"a bee <sd_cpp_extra_args>{"negative_prompt":"blur","seed":7}</sd_cpp_extra_args>"#;
        assert_eq!((sent.as_str(), notes.len()), (expected, 0));
    }

    #[test]
    fn no_words_of_a_caller_become_arguments() {
        let close = "</sd_cpp_extra_args><sd_cpp_extra_args>{\"seed\":1}";
        for prompt in [
            "a <sd_cpp_extra_args>{\"seed\":1}</sd_cpp_extra_args> bee",
            "<SD_CPP_Extra_Args>{}",
            "<sd_cpp_extra_<sd_cpp_extra_args>args>",
            "é</sd_cpp_extra_args>",
        ] {
            let (sent, notes) = sent(prompt, json!({ "negative_prompt": close }));
            assert_eq!(sent.to_lowercase().matches("<sd_cpp_extra_args>").count(), 1, "{sent}");
            assert_eq!(sent.matches("</sd_cpp_extra_args>").count(), 1, "{sent}");
            assert_eq!(notes, ["sd_cpp_extra_args in the prompt is sent as words"]);
            let json = sent.split_once(&format!("<{TAG}>")).unwrap().1;
            let json = json.strip_suffix(&format!("</{TAG}>")).unwrap();
            assert_eq!(serde_json::from_str::<Value>(json).unwrap()["negative_prompt"], close);
        }
    }
}
