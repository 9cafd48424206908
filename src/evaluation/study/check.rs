//! Real images to attention checks: screens of which the right answer is known.

use fastrand::Rng;

use super::key::Role;
use super::published::Screen;
use super::settings::StudyKind;

/// A check before its pictures have names: whose photo each picture shows, and what it is there.
pub(super) struct Check {
    /// The screen whose prompt, concept and real image are shown.
    pub like: usize,
    /// Pictures: the screen whose files they copy, and what they are.
    pub pictures: Vec<(usize, Role)>,
    /// Whether participants are told which to choose, because real images do not tell it.
    pub told: bool,
}

/// More than a participant sees, so that people who talk to each other know few of them.
const POOL: usize = 12;

/// Up to 12 checks. In a comparison one side is the real image itself, and the other a real image of
/// another concept. In a rating the picture is the real image itself or, in turns, one of another concept.
/// Where there are no two concepts with real images, a comparison tells what to choose.
pub(super) fn checks(screens: &[Screen], kind: StudyKind, random: &mut Rng) -> Vec<Check> {
    let mut order: Vec<usize> = (0..screens.len()).collect();
    random.shuffle(&mut order);
    let photo = |i: usize| screens[i].reference.as_ref().map(|photo| &photo.picture);
    let subject = |i: usize| screens[i].concept.as_ref().unwrap_or(&screens[i].prompt);
    let with_photo: Vec<usize> = order.iter().copied().filter(|&i| photo(i).is_some()).collect();
    let mut shown = Vec::new();
    let mut checks = Vec::new();
    for &like in &with_photo {
        if checks.len() == POOL || shown.contains(&subject(like)) {
            continue;
        }
        shown.push(subject(like));
        let other = with_photo.iter().rev().copied().find(|&other| subject(other) != subject(like));
        let right = (like, Role::Right);
        let pictures = match (kind, other) {
            (StudyKind::Comparative, Some(other)) => vec![right, (other, Role::Wrong)],
            (StudyKind::Comparative, None) => break,
            (StudyKind::Absolute, Some(other)) if checks.len() % 2 == 1 => {
                vec![(other, Role::Wrong)]
            }
            (StudyKind::Absolute, _) => vec![right],
        };
        checks.push(Check { like, pictures, told: false });
    }
    if checks.is_empty() && kind == StudyKind::Comparative {
        checks.extend(order.into_iter().take(POOL).map(|like| Check {
            like,
            pictures: vec![(like, Role::Right), (like, Role::Wrong)],
            told: true,
        }));
    }
    checks
}
