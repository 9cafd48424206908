//! Bytes from outside to the readers that have no public name of their own, for `tests/fuzz`.

use std::path::Path;

use crate::Result;
use crate::models::common::files::TensorFiles;
use crate::vlm::{self, ChatReply, Questions, parse};

/// Everything that is read from the words of a model.
pub fn words(reply: &str) {
    let questions = Questions::default();
    let concepts = ["a sheep".to_owned(), "oil painting style".to_owned()];
    for reply in [ChatReply::new(reply), ChatReply::new(reply).cut_off()] {
        parse::yes_or_no(&questions, &questions.decision, &reply);
        parse::concepts(&questions, &reply);
        parse::captions(&questions, &reply, &concepts);
        parse::edits(&questions, &reply);
        parse::indices(&questions, &reply, 3);
        parse::text(&questions, &reply);
    }
}

/// The body of a service's reply.
pub fn completion(body: &[u8]) -> Result<ChatReply> {
    vlm::read_completion(body)
}

/// Every tensor of the checkpoint at `path`.
pub fn checkpoint(path: &Path) -> Result<()> {
    let files = TensorFiles::open(path)?;
    for name in files.names() {
        files.get(&name).map(|stored| stored.bytes.len());
    }
    Ok(())
}
