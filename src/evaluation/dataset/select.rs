//! A [`Dataset`] to one with other prompts, fewer classes or fewer images; and whether it is sound.

use std::collections::{BTreeMap, HashSet};

use super::{Dataset, Item, Notes, RealImage, Split};
use crate::error::{at_least_one, require};
use crate::{Error, Result};

impl Dataset {
    /// The same with one item for each class, in the order of the classes: `template` with the class's
    /// name in place of `{}`. The paper's is `A photo of a {}`: always "a", never "an", so that prompts
    /// differ in the name alone.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `template` has no `{}`, or there are no classes.
    pub fn with_prompts(mut self, template: impl Into<String>) -> Result<Self> {
        let template = template.into();
        require(
            template.contains("{}"),
            "template",
            "one with {} for the class's name",
            &template,
        )?;
        let found = format!("{} without classes", self.name);
        require(!self.classes.is_empty(), "data set", "one with classes", found)?;
        let item = |class: &super::Class| {
            Item::new(&class.id, template.replace("{}", &class.name)).of_class(&class.id)
        };
        self.items = self.classes.iter().map(item).collect();
        self.template = Some(template);
        Ok(self)
    }

    /// The same with its first `n` classes and their items; without classes, with its first `n` items. It
    /// is noted where there are not so many.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `n` is 0.
    pub fn take(self, n: usize) -> Result<Self> {
        let count = self.count();
        self.at_most(n, (0..count).take(n).collect())
    }

    /// The same with `n` random classes and their items, in their order; without classes, with `n` random
    /// items. Which they are depends on `seed` and the identifiers alone, so that it is the same everywhere,
    /// and fewer are some of more: those with the lowest BLAKE3 of `seed` (8 bytes, little-endian) and
    /// identifier.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `n` is 0.
    pub fn sample(self, n: usize, seed: u64) -> Result<Self> {
        let hash = |at: usize| {
            let id = self.classes.get(at).map_or_else(|| &self.items[at].id, |class| &class.id);
            *blake3::Hasher::new()
                .update(&seed.to_le_bytes())
                .update(id.as_bytes())
                .finalize()
                .as_bytes()
        };
        let mut places: Vec<usize> = (0..self.count()).collect();
        places.sort_by_cached_key(|&at| hash(at));
        let chosen = places.into_iter().take(n).collect();
        self.at_most(n, chosen)
    }

    /// How many classes there are; without classes, how many items.
    fn count(&self) -> usize {
        if self.classes.is_empty() { self.items.len() } else { self.classes.len() }
    }

    /// The classes at these places and their items; without classes, the items there.
    fn at_most(mut self, n: usize, places: HashSet<usize>) -> Result<Self> {
        at_least_one("number of classes", n)?;
        if places.len() < n {
            self.notes
                .push(format!("{n} classes or prompts were asked for, {} found", places.len()));
        }
        if self.classes.is_empty() {
            self.items = chosen(self.items, &places);
            return Ok(self);
        }
        self.classes = chosen(self.classes, &places);
        let ids: HashSet<&str> = self.classes.iter().map(|class| &*class.id).collect();
        self.items.retain(|item| item.class.as_deref().is_some_and(|id| ids.contains(id)));
        Ok(self)
    }

    /// The same with the real images of this part alone. Classes that have none of it are kept, and noted.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when there are images, and none of them is of this part.
    pub fn only_split(mut self, split: Split) -> Result<Self> {
        let splits: HashSet<Option<Split>> = self.images().map(|image| image.split).collect();
        if !splits.is_empty() && !splits.contains(&Some(split)) {
            let mut known: Vec<String> =
                splits.into_iter().flatten().map(|s| s.to_string()).collect();
            known.sort();
            let known = if known.is_empty() { "no parts".to_owned() } else { known.join(", ") };
            let expected = format!("a part of {}, which has {known}", self.name);
            return Err(Error::invalid_input("split", expected, split));
        }
        let mut notes = Notes::default();
        for class in &mut self.classes {
            let before = class.images.len();
            class.images.retain(|image| image.split == Some(split));
            if before > 0 && class.images.is_empty() {
                notes.count(&format!("classes without {split} images"), &class.id);
            }
        }
        self.items
            .iter_mut()
            .for_each(|item| item.images.retain(|image| image.split == Some(split)));
        self.notes.extend(notes.into_lines());
        Ok(self)
    }

    /// The part that results are compared with: test, or validation where no image is of test; none in a
    /// set without parts. References are retrieved from the others.
    pub fn comparison_split(&self) -> Option<Split> {
        let has = |split| self.images().any(|image| image.split == Some(split));
        [Split::Test, Split::Validation].into_iter().find(|&split| has(split))
    }

    /// All real images, of classes and of items.
    pub fn images(&self) -> impl Iterator<Item = &RealImage> {
        let of_items = self.items.iter().flat_map(|item| &item.images);
        self.classes.iter().flat_map(|class| &class.images).chain(of_items)
    }

    /// That it can be drawn and reported on: identifiers of classes and of items are unique, names and
    /// prompts are neither empty nor damaged, and each item's class is one of the set.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] names the first that is not so.
    pub fn validate(&self) -> Result<()> {
        let name = &self.name;
        require(!self.items.is_empty(), name, "at least one item", "none")?;
        let mut classes = HashSet::new();
        for class in &self.classes {
            let is_new = classes.insert(&*class.id);
            require(is_new, format!("classes of {name}"), "unique identifiers", &class.id)?;
            check_text(&format!("name of class {} of {name}", class.id), &class.name)?;
        }
        let mut items = HashSet::new();
        for item in &self.items {
            let is_new = items.insert(&*item.id);
            require(is_new, format!("items of {name}"), "unique identifiers", &item.id)?;
            check_text(&format!("prompt of item {} of {name}", item.id), &item.prompt)?;
            if let Some(class) = &item.class {
                let what = format!("class of item {} of {name}", item.id);
                require(classes.contains(&**class), what, "one of its classes", class)?;
            }
        }
        Ok(())
    }

    /// Notes what a user should know of the classes: those of one name, and those without images where
    /// others have some.
    pub(super) fn note_classes(&mut self) {
        let mut notes = Notes::default();
        let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for class in &self.classes {
            by_name.entry(&class.name).or_default().push(&class.id);
        }
        for (name, ids) in by_name.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let example = format!("{name} ({})", ids.join(", "));
            notes.count("names that several classes have, and so one prompt", example);
        }
        if self.classes.iter().any(|class| !class.images.is_empty()) {
            for class in self.classes.iter().filter(|class| class.images.is_empty()) {
                notes.count("classes without real images", &class.id);
            }
        } else if self.template.is_some() {
            notes.say("no class has a real image");
        }
        self.notes.extend(notes.into_lines());
    }
}

fn chosen<T>(all: Vec<T>, places: &HashSet<usize>) -> Vec<T> {
    all.into_iter().enumerate().filter(|(at, _)| places.contains(at)).map(|(_, one)| one).collect()
}

fn check_text(what: &str, text: &str) -> Result<()> {
    require(!text.trim().is_empty(), what, "at least one character", "nothing")?;
    let is_whole = !text.contains(char::REPLACEMENT_CHARACTER);
    require(is_whole, what, "characters in UTF-8 or UTF-16", text)
}
