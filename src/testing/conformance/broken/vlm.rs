//! VLMs that break one rule each.

use async_trait::async_trait;
use futures::FutureExt;

use super::super::vlm::*;
use super::super::{ANSWERS, NAMED};
use super::{assert_refused, broke, named_unless_that_is_broken};
use crate::Result;
use crate::testing::conformance;
use crate::vlm::{ChatReply, ChatRequest, Vlm};

#[derive(Debug)]
struct Broken {
    rule: &'static str,
}

#[async_trait]
impl Vlm for Broken {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply> {
        match self.rule {
            ANSWERS => broke(),
            WORDS => Ok(ChatReply::new(" ")),
            CONVERSATION if request.messages.len() > 1 => Ok(ChatReply::default()),
            _ => Ok(ChatReply::new("yes")),
        }
    }
}

named_unless_that_is_broken!(Broken);

#[test]
fn every_rule_can_be_broken() {
    let rules = [NAMED, ANSWERS, WORDS, CONVERSATION];
    let case = |rule| (rule, async move { conformance::vlm(&Broken { rule }).await }.boxed());
    assert_refused("Vlm", RULES, rules.map(case).into());
}
