//! The table of a shard to its pictures, each with the texts about it, and to what else is in it.

use std::collections::HashMap;
use std::io;

use super::tar_table::Member;
use crate::folder::LeftOutKind;
use crate::folder::kind::{Kind, kind, left_out, text};
use crate::folder::pairing::{base, pair};
use crate::image::format::FORMATS;

/// What a member of a shard is.
#[derive(Debug)]
pub(super) enum Role {
    /// A picture, with the texts about it, by their place in the table.
    Picture {
        texts: Vec<usize>,
    },
    /// A text about one of the pictures.
    Text,
    LeftOut(LeftOutKind),
    /// It is refused: what was expected, and what was found.
    Refused {
        expected: String,
        found: String,
    },
}

/// The role of each of `members`, in their order. `head` reads the first bytes of one.
///
/// A picture whose name another member has too is refused, and so is a text: which text is about
/// which picture is not known then. So it is where one of the pictures is not read, or is among
/// `refused`, members that are no files.
pub(super) fn roles(
    members: &[Member],
    refused: &[&str],
    mut head: impl FnMut(&Member) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<Role>> {
    let mut named: HashMap<&str, usize> = HashMap::new();
    for member in members {
        *named.entry(&member.name).or_default() += 1;
    }
    let mut roles = Vec::with_capacity(members.len());
    let (mut pictures, mut texts) = (Vec::new(), Vec::new());
    for (at, member) in members.iter().enumerate() {
        let name = &*member.name;
        let kind = match name.split('/').find_map(left_out) {
            Some(kind) => Kind::LeftOut(kind),
            None => kind(base(name), || head(member))?,
        };
        let repeated = named[name] > 1;
        roles.push(match kind {
            Kind::LeftOut(kind) => Role::LeftOut(kind),
            Kind::NotRead(format) => {
                Role::Refused { expected: FORMATS.to_owned(), found: format.to_owned() }
            }
            Kind::Picture | Kind::Text(_) if repeated => {
                let (expected, found) = ("one member of this name", named[name].to_string());
                Role::Refused { expected: expected.to_owned(), found }
            }
            Kind::Picture => Role::Picture { texts: Vec::new() },
            Kind::Text(_) => Role::Text,
        });
        match kind {
            Kind::Picture | Kind::NotRead(_) => pictures.push(at),
            Kind::Text(_) if !repeated => texts.push(at),
            _ => {}
        }
    }
    let names = |of: &[usize]| of.iter().map(|&at| &*members[at].name).collect::<Vec<_>>();
    let mut picture_names = names(&pictures);
    picture_names.extend(refused.iter().filter(|name| text(name).is_none()));
    let pairs = pair(&picture_names, &names(&texts), true);
    for (picture, about) in pairs.texts.into_iter().enumerate() {
        let about = about.into_iter().map(|text| texts[text]);
        match pictures.get(picture).map(|&at| &mut roles[at]) {
            Some(Role::Picture { texts }) => texts.extend(about),
            _ => about.for_each(|text| roles[text] = Role::LeftOut(LeftOutKind::WithoutPicture)),
        }
    }
    for text in pairs.without_picture {
        roles[texts[text]] = Role::LeftOut(LeftOutKind::WithoutPicture);
    }
    for (text, candidates) in pairs.unclear {
        let found: Vec<&str> = candidates.into_iter().map(|at| picture_names[at]).collect();
        let (expected, found) = ("one picture that it is about".to_owned(), found.join(" and "));
        roles[texts[text]] = Role::Refused { expected, found };
    }
    Ok(roles)
}
