//! A COCO-style JSON file of iNaturalist to its tables, read as a stream: of each record only what is asked
//! for is ever in memory.

use std::collections::HashSet;
use std::fmt;
use std::io::{BufReader, Read, Seek};
use std::marker::PhantomData;
use std::path::Path;
use std::rc::Rc;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use crate::{Error, Result, lenient, regular_file};

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Coco {
    pub(super) categories: Vec<Category>,
    pub(super) images: Vec<Image>,
    /// Those of images; none without the table.
    pub(super) annotations: Option<Vec<Annotation>>,
    pub(super) licenses: Vec<License>,
}

#[derive(Debug)]
pub(super) struct Image {
    pub(super) id: u64,
    pub(super) file_name: Box<str>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) license: Option<u64>,
    /// Shared by all images of the same one.
    pub(super) rights_holder: Option<Rc<str>>,
}

#[derive(Clone, Debug, serde::Deserialize)]
pub(super) struct Category {
    pub(super) id: u64,
    pub(super) name: String,
    #[serde(default)]
    pub(super) common_name: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct License {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) url: Option<String>,
}

#[derive(serde::Deserialize)]
struct RawImage {
    id: u64,
    file_name: Box<str>,
    #[serde(default)]
    width: Option<f64>,
    #[serde(default)]
    height: Option<f64>,
    #[serde(default)]
    license: Option<u64>,
    #[serde(default)]
    rights_holder: Option<Box<str>>,
}

/// That an image shows a category, both by their identifiers.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub(super) struct Annotation {
    pub(super) image_id: u64,
    pub(super) category_id: u64,
}

/// Reads the file at `path`.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::InvalidFile`] when it is not of this form.
pub(super) fn read(path: &Path) -> Result<Coco> {
    read_as(path, "{\"images\": […], \"categories\": […], …} in JSON")
}

/// Reads the file `categories.json` at `path`: the table alone.
pub(super) fn categories(path: &Path) -> Result<Vec<Category>> {
    read_as(path, "[{\"id\": …, \"name\": …}, …] in JSON")
}

fn read_as<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T> {
    let file = regular_file::open(path)?;
    let io = |source| Error::io(path, source);
    let mut reader = BufReader::with_capacity(1 << 20, &file);
    let mut start = [0; 3];
    let is_marked = reader.read_exact(&mut start).is_ok() && start == [0xef, 0xbb, 0xbf];
    if !is_marked {
        reader.rewind().map_err(io)?;
    }
    match serde_json::from_reader(reader) {
        Ok(read) => return Ok(read),
        Err(error) if error.is_io() => return Err(io(error.into())),
        Err(_) => {}
    }
    // It may be UTF-16, or have what JSON does not, such as NaN. For that it is read as a whole.
    let bytes = regular_file::read(path)?;
    lenient::json(&bytes).map_err(|error| Error::invalid_file(path, "tables", expected, error))
}

impl<'de> Deserialize<'de> for Coco {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;
        impl<'de> Visitor<'de> for Tables {
            type Value = Coco;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `images` and `categories`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Coco, A::Error> {
                let (mut coco, mut met) = (Coco::default(), HashSet::new());
                while let Some(table) = map.next_key::<String>()? {
                    if !met.insert(table.clone()) {
                        return Err(A::Error::custom(format!("the table {table:?} twice")));
                    }
                    match &*table {
                        "categories" => coco.categories = map.next_value()?,
                        "licenses" => coco.licenses = map.next_value()?,
                        "images" => coco.images = map.next_value::<Stream<_, Images>>()?.0.images,
                        "annotations" => {
                            let annotations = map.next_value::<Stream<_, Annotations>>()?;
                            coco.annotations = Some(annotations.0.0);
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(coco)
            }
        }
        deserializer.deserialize_map(Tables)
    }
}

/// A JSON array of `T`, each of which is taken over into `C` when it is read.
struct Stream<T, C>(C, PhantomData<T>);

/// What takes records over.
trait Collect<T>: Default {
    fn collect(&mut self, record: T);
}

#[derive(Default)]
struct Images {
    images: Vec<Image>,
    holders: HashSet<Rc<str>>,
}

impl Collect<RawImage> for Images {
    fn collect(&mut self, raw: RawImage) {
        let RawImage { id, file_name, width, height, license, rights_holder } = raw;
        let rights_holder = rights_holder.filter(|holder| !holder.trim().is_empty());
        let rights_holder = rights_holder.map(|holder| match self.holders.get(&*holder) {
            Some(known) => Rc::clone(known),
            None => {
                let new: Rc<str> = holder.into();
                self.holders.insert(Rc::clone(&new));
                new
            }
        });
        let side = |side: Option<f64>| {
            side.filter(|side| side.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(side))
                .map(|side| side as u32)
        };
        let (width, height) = (side(width), side(height));
        self.images.push(Image { id, file_name, width, height, license, rights_holder });
    }
}

#[derive(Default)]
struct Annotations(Vec<Annotation>);

impl Collect<Annotation> for Annotations {
    fn collect(&mut self, annotation: Annotation) {
        self.0.push(annotation);
    }
}

impl<'de, T: Deserialize<'de>, C: Collect<T>> Deserialize<'de> for Stream<T, C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Records<T, C>(PhantomData<(T, C)>);
        impl<'de, T: Deserialize<'de>, C: Collect<T>> Visitor<'de> for Records<T, C> {
            type Value = C;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<C, A::Error> {
                let mut collected = C::default();
                while let Some(record) = records.next_element()? {
                    collected.collect(record);
                }
                Ok(collected)
            }
        }
        Ok(Self(deserializer.deserialize_seq(Records(PhantomData))?, PhantomData))
    }
}
