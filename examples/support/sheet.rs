//! Rows of a caption and pictures to one contact sheet.

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use imagerag::{Image, Result};

/// Side of a picture on the sheet, in pixels.
const CELL: u32 = 128;
const GAP: u32 = 8;
const TEXT_WIDTH: u32 = 268;
const HEADER: u32 = 24;
/// The height of a line of text.
const LINE: u32 = 13;

/// One row: what was asked for, and pictures, `None` where there is none.
pub(crate) struct Row {
    pub(crate) caption: String,
    pub(crate) pictures: Vec<Option<Image>>,
}

/// The sheet of `rows`, with the names of its columns on top, that of the text first. Small pictures are enlarged without
/// smoothing, so that their pixels stay what they are.
pub(crate) fn contact_sheet(text: &str, columns: &[&str], rows: &[Row]) -> Result<Image> {
    let width = TEXT_WIDTH + columns.len() as u32 * (CELL + GAP) + GAP;
    let height = HEADER + rows.len() as u32 * (CELL + GAP) + GAP;
    let mut canvas = Canvas(RgbImage::from_pixel(width, height, Rgb([255; 3])));
    let heading = MonoTextStyle::new(&FONT_7X13, Rgb888::new(30, 30, 30));
    let words = MonoTextStyle::new(&FONT_6X10, Rgb888::new(60, 60, 60));
    let left = |column: usize| TEXT_WIDTH + column as u32 * (CELL + GAP);
    canvas.write(text, GAP, GAP, heading);
    for (column, name) in columns.iter().enumerate() {
        // A longer name would stand in the next column.
        let name: String = name.chars().take((CELL / 7) as usize).collect();
        canvas.write(&name, left(column), GAP, heading);
    }
    for (number, row) in rows.iter().enumerate() {
        let top = HEADER + number as u32 * (CELL + GAP) + GAP / 2;
        for (line, text) in
            wrap(&row.caption, (TEXT_WIDTH - 2 * GAP) as usize / 6).iter().enumerate()
        {
            canvas.write(text, GAP, top + 4 + line as u32 * LINE, words);
        }
        for (column, picture) in row.pictures.iter().enumerate() {
            if let Some(picture) = picture {
                let (x, y) = (i64::from(left(column)), i64::from(top));
                overlay(&mut canvas.0, &fitted(picture), x, y);
            }
        }
    }
    Image::try_from(canvas.0)
}

/// `picture` enlarged by a whole number where it is small, else made to fit a cell.
pub(crate) fn enlarged(picture: &Image, side: u32) -> RgbImage {
    let longest = picture.width().max(picture.height());
    let picture = RgbImage::from(picture);
    if longest * 2 <= side {
        let factor = side / longest;
        let (width, height) = (picture.width() * factor, picture.height() * factor);
        return resize(&picture, width, height, FilterType::Nearest);
    }
    picture
}

fn fitted(picture: &Image) -> RgbImage {
    let picture = enlarged(picture, CELL);
    let longest = picture.width().max(picture.height());
    if longest <= CELL {
        return picture;
    }
    let side = |length: u32| (length * CELL / longest).max(1);
    resize(&picture, side(picture.width()), side(picture.height()), FilterType::Triangle)
}

fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().flat_map(|word| pieces(word, columns)) {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(word);
        } else {
            let space = if line.is_empty() { "" } else { " " };
            line.push_str(space);
            line.push_str(&word);
        }
    }
    // What does not fit beside a picture would stand in the next row.
    lines.truncate((CELL / LINE) as usize);
    lines
}

/// A word in pieces of at most so many letters.
fn pieces(word: &str, columns: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(columns).map(|piece| piece.iter().collect()).collect()
}

struct Canvas(RgbImage);

impl Canvas {
    fn write(&mut self, text: &str, x: u32, y: u32, style: MonoTextStyle<'_, Rgb888>) {
        let at = Point::new(x as i32, y as i32);
        match Text::with_baseline(text, at, style, Baseline::Top).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Self::Error> {
        for Pixel(point, colour) in pixels {
            let inside = u32::try_from(point.x).ok().zip(u32::try_from(point.y).ok());
            if let Some(pixel) = inside.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y)) {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}
