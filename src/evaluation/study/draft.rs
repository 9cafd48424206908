//! The screens of a study to files with opaque names, to what the page says of them, and to the key.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fastrand::Rng;

use super::check::Check;
use super::key::{KeyRow, Role};
use super::picture::{encoded, equally_long, write};
use super::published::{Photo, Published, Screen, Shown};
use super::select::{Chosen, System, concept, photos};
use super::settings::{Study, StudyKind};
use crate::evaluation::dataset::{Dataset, RealImage};
use crate::evaluation::experiment::Results;
use crate::{Error, Image, Result};

/// What is written so far.
pub(super) struct Draft<'a> {
    study: &'a Study,
    /// The folder of pictures.
    pictures: PathBuf,
    /// The longest side of pictures.
    side: u32,
    salt: String,
    pub screens: Vec<Screen>,
    /// The item that each screen is about, by a number.
    pub groups: Vec<usize>,
    pub rows: Vec<KeyRow>,
    pub left_out: Vec<String>,
    /// How many real images have each terms, by data set.
    terms: BTreeMap<(String, Option<String>), usize>,
}

impl<'a> Draft<'a> {
    /// Nothing yet.
    pub(super) fn new(
        study: &'a Study,
        pictures: PathBuf,
        side: u32,
        salt: String,
        left_out: Vec<String>,
    ) -> Self {
        let (screens, groups, rows) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            study,
            pictures,
            side,
            salt,
            screens,
            groups,
            rows,
            left_out,
            terms: BTreeMap::new(),
        }
    }

    /// The opaque name of what `of` describes.
    fn name(&self, of: &impl serde::Serialize) -> Result<String> {
        let text = serde_json::to_string(&(&self.salt, of));
        let text = text.map_err(|error| Error::backend("JSON writer", error))?;
        // A letter first: spreadsheets take digits for numbers, and round them.
        Ok(format!("p{}", &blake3::hash(text.as_bytes()).to_hex()[..16]))
    }

    /// What is drawn for `of` from the secret salt: nobody who reads the folder can draw it again.
    pub(super) fn random(&self, of: &impl serde::Serialize) -> Result<Rng> {
        let text = serde_json::to_string(&(&self.salt, "random", of));
        let text = text.map_err(|error| Error::backend("JSON writer", error))?;
        let mut seed = [0; 8];
        blake3::Hasher::new().update(text.as_bytes()).finalize_xof().fill(&mut seed);
        Ok(Rng::with_seed(u64::from_le_bytes(seed)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.pictures.join(format!("{name}.jpg"))
    }

    /// Screens of one item at a time, whose pictures are equally long.
    pub(super) async fn add_items(
        &mut self,
        chosen: &[Chosen<'_>],
        results: &Results,
        datasets: &[Dataset],
        random: &mut Rng,
    ) -> Result<()> {
        let mut order = Vec::new();
        let mut items = BTreeMap::<_, Vec<&Chosen<'_>>>::new();
        for screen in chosen {
            let record = screen.pictures[0].record;
            let item = (&record.dataset, &record.item);
            items.entry(item).or_insert_with(|| {
                order.push(item);
                Vec::new()
            });
            items.entry(item).or_default().push(screen);
        }
        for (group, item) in order.into_iter().enumerate() {
            let screens = &items[&item];
            let pictures: Vec<System<'_>> =
                screens.iter().flat_map(|screen| &screen.pictures).copied().collect();
            let photo = self.add_photo(item, photos(datasets, &pictures, random), datasets).await?;
            if photo.is_none() && self.study.kind == StudyKind::Absolute {
                self.left_out
                    .push(format!("{}, {}: no real image to compare with", item.0, item.1));
                continue;
            }
            let concept = concept(results, datasets, pictures[0].record);
            let (mut names, mut files) = (Vec::new(), Vec::new());
            for screen in screens {
                let mut shown = Screen {
                    prompt: screen.pictures[0].record.prompt.clone(),
                    concept: concept.clone(),
                    reference: photo.clone(),
                    ..Screen::default()
                };
                let whose: Vec<_> = screen.pictures.iter().map(|p| &p.record.system).collect();
                shown.item = self.name(&("item", item, screen.pictures[0].record.seed, &whose))?;
                for picture in &screen.pictures {
                    let name = self.name(&(&shown.item, &picture.record.system))?;
                    let image = Image::open(results.folder.join(&picture.drawing.picture.file))?;
                    files.push(encoded(&image, self.side)?);
                    self.rows.push(self.row(&shown, &name, picture));
                    shown.pictures.push(name.clone());
                    names.push(name);
                }
                shown.pictures.sort_unstable();
                self.screens.push(shown);
                self.groups.push(group);
            }
            self.write_all(&names, files)?;
        }
        Ok(())
    }

    /// The first of `images` that can be read, as a file.
    async fn add_photo(
        &mut self,
        item: (&String, &String),
        images: Vec<&RealImage>,
        datasets: &[Dataset],
    ) -> Result<Option<Photo>> {
        for real in images {
            let image = match real.picture.load().await {
                Ok(image) => image,
                Err(error) => {
                    let why = error.chain().to_string();
                    self.left_out
                        .push(format!("{}, {}: real image {}: {why}", item.0, item.1, real.id));
                    continue;
                }
            };
            let picture = self.name(&("photo", item, &real.id))?;
            write(&self.path(&picture), &encoded(&image, self.side)?)?;
            let of_set = datasets.iter().find(|dataset| dataset.name == *item.0);
            let terms = real.metadata.license.clone().or_else(|| of_set?.license.clone());
            *self.terms.entry((item.0.clone(), terms)).or_default() += 1;
            let metadata = &real.metadata;
            let credit = [&metadata.author, &metadata.license, &metadata.origin];
            let credit: Vec<&str> = credit.into_iter().flatten().map(String::as_str).collect();
            let credit = (!credit.is_empty()).then(|| credit.join(", "));
            return Ok(Some(Photo { picture, credit }));
        }
        Ok(None)
    }

    fn row(&self, screen: &Screen, picture: &str, system: &System<'_>) -> KeyRow {
        let record = system.record;
        KeyRow {
            role: system.role,
            system: record.system.clone(),
            base: system.base.unwrap_or_default().into(),
            dataset: record.dataset.clone(),
            item: record.item.clone(),
            seed: record.seed.to_string(),
            ..self.row_of(screen, picture)
        }
    }

    fn row_of(&self, screen: &Screen, picture: &str) -> KeyRow {
        KeyRow {
            study: self.study.id.clone(),
            kind: self.study.kind,
            max_failed_checks: self.study.max_failed_checks,
            salt: self.salt.clone(),
            screen: screen.item.clone(),
            picture: picture.into(),
            concept: screen.concept.clone().unwrap_or_default(),
            prompt: screen.prompt.clone(),
            question: self.study.questions().join("\t"),
            ..KeyRow::default()
        }
    }

    /// A screen like another one, with pictures of which the right one is known.
    pub(super) fn add_check(&mut self, check: &Check) -> Result<()> {
        let like = &self.screens[check.like];
        let mut screen = Screen { pictures: Vec::new(), ..like.clone() };
        screen.item = self.name(&("check", &like.item))?;
        let (mut names, mut files) = (Vec::new(), Vec::new());
        for (i, &(from, role)) in check.pictures.iter().enumerate() {
            let source = match (&self.screens[from].reference, check.told) {
                (Some(photo), false) => &photo.picture,
                _ => &self.screens[from].pictures[i],
            };
            let path = self.path(source);
            let name = self.name(&(&screen.item, i))?;
            files.push(fs::read(&path).map_err(|source| Error::io(path, source))?);
            if check.told && role == Role::Right {
                screen.told = Some(name.clone());
            }
            let question = self.study.questions().into_iter().next().unwrap_or_default();
            self.rows.push(KeyRow { role, question, ..self.row_of(&screen, &name) });
            screen.pictures.push(name.clone());
            names.push(name);
        }
        screen.pictures.sort_unstable();
        self.screens.push(screen);
        self.write_all(&names, files)
    }

    /// Files of equal length, in the order of their names: the order of making would tell systems apart.
    fn write_all(&self, names: &[String], mut files: Vec<Vec<u8>>) -> Result<()> {
        equally_long(&mut files, &mut self.random(&names)?);
        let files: BTreeMap<_, _> = names.iter().zip(files).collect();
        files.iter().try_for_each(|(name, bytes)| write(&self.path(name), bytes))
    }

    /// What the page says; the key learns which list shows each picture on which side.
    ///
    /// Screens are in the order of their opaque names: the order of making would tell systems and checks.
    pub(super) fn published(
        &mut self,
        mut lists: Vec<Vec<Shown>>,
        has_checks: bool,
    ) -> Result<Published> {
        let study = self.study;
        let mut order: Vec<usize> = (0..self.screens.len()).collect();
        order.sort_by_key(|&screen| &self.screens[screen].item);
        let mut places = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &screen)| places[screen] = place);
        let screens: Vec<Screen> = order.iter().map(|&i| self.screens[i].clone()).collect();
        let mut rows: BTreeMap<String, &mut KeyRow> =
            self.rows.iter_mut().map(|row| (row.picture.clone(), row)).collect();
        for (number, list) in (1..).zip(&mut lists) {
            for shown in list {
                shown.screen = places[shown.screen];
                let pictures = &screens[shown.screen].pictures;
                shown.swapped &= pictures.len() > 1;
                for (i, picture) in pictures.iter().enumerate() {
                    let is_left = (i == 1) == shown.swapped;
                    rows.get_mut(picture).into_iter().for_each(|row| row.shown_in(number, is_left));
                }
            }
        }
        let most = study.max_failed_checks;
        let mut published = Published {
            study: study.id.clone(),
            version: String::new(),
            title: study.shown_title().into(),
            kind: study.kind,
            consent: study.consent.clone(),
            questions: study.questions(),
            salt_hash: blake3::hash(self.salt.as_bytes()).to_hex().to_string(),
            max_failed_checks: most,
            drop_rule: match (has_checks, most) {
                (false, _) => String::new(),
                (true, 0) => {
                    "The answers of a participant who fails one of them are left out.".into()
                }
                (true, _) => {
                    format!(
                        "The answers of a participant who fails more than {most} of them are left out."
                    )
                }
            },
            post_to: study.post_to.clone(),
            screens,
            lists,
        };
        let text = serde_json::to_vec(&published).map_err(|e| Error::backend("JSON writer", e))?;
        published.version = format!("v{}", &blake3::hash(&text).to_hex()[..12]);
        Ok(published)
    }

    /// Real images that are not there, and terms of others that may forbid to publish them.
    pub(super) fn warnings(&self) -> Vec<String> {
        let bare = self.screens.iter().filter(|screen| screen.reference.is_none()).count();
        let bare = (bare > 0).then(|| {
            format!(
                "{bare} of {} items are shown without a real image: there is none",
                self.screens.len()
            )
        });
        let warnings = self.terms.iter().filter_map(|((dataset, terms), count)| {
            let images = if *count == 1 { "1 real image".into() } else { format!("{count} real images") };
            match terms {
                Some(terms) if may_be_published(terms) => None,
                Some(terms) => Some(format!(
                    "{images} of {dataset} will be published with the folder, under the terms \
                     \"{terms}\": make sure that they allow it"
                )),
                None => Some(format!(
                    "{images} of {dataset} will be published with the folder, and their terms are not \
                     known: make sure that they allow it"
                )),
            }
        });
        bare.into_iter().chain(warnings).collect()
    }
}

/// Whether a license lets anybody publish a resized copy with a credit. What is not surely so is not.
fn may_be_published(license: &str) -> bool {
    let words: Vec<String> = license
        .to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty() && !word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words[..],
        ["cc0"]
            | ["cc", "zero"]
            | ["cc", "by"]
            | ["cc", "by", "sa"]
            | ["public", "domain"]
            | ["pdm"]
    )
}
