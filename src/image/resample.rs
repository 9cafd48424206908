//! Pixels to pixels of another size, bit for bit as Pillow's `Image.resize` does it.

use std::f64::consts::PI;
use std::ops::Range;

/// Fraction bits of Pillow's fixed-point weights (`PRECISION_BITS` in its `Resample.c`).
const PRECISION: u32 = 32 - 8 - 2;

/// Pillow's filters; the numbers are those of `PIL.Image.Resampling`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Nearest = 0,
    Lanczos = 1,
    Bilinear = 2,
    Bicubic = 3,
    Box = 4,
    Hamming = 5,
}

impl Filter {
    /// The filter of Pillow's `number`.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        let all =
            [Self::Nearest, Self::Lanczos, Self::Bilinear, Self::Bicubic, Self::Box, Self::Hamming];
        all.get(usize::try_from(number).ok()?).copied()
    }

    /// Half the width of the filter, in source pixels when it enlarges.
    const fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
        let a = x.abs();
        match self {
            Self::Nearest => 1.0,
            Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - a).max(0.0),
            Self::Hamming if a == 0.0 => 1.0,
            Self::Hamming if a >= 1.0 => 0.0,
            Self::Hamming => (a * PI).sin() / (a * PI) * (0.54 + 0.46 * (a * PI).cos()),
            // Keys' cubic with a = -0.5.
            Self::Bicubic if a < 1.0 => (1.5 * a - 2.5) * a * a + 1.0,
            Self::Bicubic if a < 2.0 => (((a - 5.0) * a + 8.0) * a - 4.0) * -0.5,
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// What one target pixel takes: source pixels from `first` on, and their fixed-point weights.
struct Tap {
    first: usize,
    weights: Vec<i32>,
}

/// How the pixels `window` of a row of `to` come from a row of `from` pixels.
fn taps(from: usize, to: usize, filter: Filter, window: Range<usize>) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    if from == to || filter == Filter::Nearest {
        // Pillow adds up the step, and so rounds as it goes.
        let mut at = scale * 0.5;
        let mut places = Vec::with_capacity(window.len());
        for x in 0..window.end {
            if x >= window.start {
                let first = if from == to { x } else { (at as usize).min(from - 1) };
                places.push(Tap { first, weights: vec![1 << PRECISION] });
            }
            at += scale;
        }
        return places;
    }
    let filter_scale = scale.max(1.0);
    let inverse = 1.0 / filter_scale;
    let support = filter.support() * filter_scale;
    window
        .map(|x| {
            let center = (x as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let last = ((center + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..last)
                .map(|source| filter.weight((source as f64 - center + 0.5) * inverse))
                .collect();
            let sum: f64 = weights.iter().sum();
            let weights = weights
                .into_iter()
                .map(|weight| if sum == 0.0 { weight } else { weight / sum })
                .map(|weight| {
                    let fixed = weight * f64::from(1 << PRECISION);
                    (if weight < 0.0 { fixed - 0.5 } else { fixed + 0.5 }) as i32
                })
                .collect();
            Tap { first, weights }
        })
        .collect()
}

/// The source pixels that `taps` look at.
fn looked_at(taps: &[Tap]) -> Range<usize> {
    let first = taps.iter().map(|tap| tap.first).min().unwrap_or(0);
    let last = taps.iter().map(|tap| tap.first + tap.weights.len()).max().unwrap_or(0);
    first..last
}

/// Half a pixel in fixed point, from which every sum starts.
const HALF: i32 = 1 << (PRECISION - 1);

/// A fixed-point sum as a pixel.
fn pixel(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Values that are multiplied at a time.
const LANES: usize = 8;

/// The `rows` of `pixels`, rows of `width`, each resized by `taps`; these count pixels from `origin`.
#[inline(always)]
fn across(pixels: &[u8], width: usize, rows: Range<usize>, taps: &[Tap], origin: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * rows.len() * taps.len());
    // Weights and the row of a color end in zeros, so that no group of lanes is cut short.
    let padded = |tap: &Tap| {
        let mut weights = tap.weights.clone();
        weights.resize(weights.len().next_multiple_of(LANES), 0);
        (tap.first - origin, weights)
    };
    let taps: Vec<_> = taps.iter().map(padded).collect();
    let mut colors = [(); 3].map(|()| vec![0; width + LANES]);
    for row in rows {
        for (n, rgb) in pixels[3 * row * width..][..3 * width].chunks_exact(3).enumerate() {
            for (color, &value) in colors.iter_mut().zip(rgb) {
                color[n] = i32::from(value);
            }
        }
        for (first, weights) in &taps {
            for color in &colors {
                out.push(pixel(HALF.wrapping_add(dot(&color[*first..], weights))));
            }
        }
    }
    out // [rows, taps, 3]
}

/// The sum of the products of `weights`, whose number is a multiple of [`LANES`], and the first of
/// `values`.
#[inline(always)]
fn dot(values: &[i32], weights: &[i32]) -> i32 {
    let mut sums = [0i32; LANES];
    for (values, weights) in values.chunks_exact(LANES).zip(weights.chunks_exact(LANES)) {
        for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
            *sum = sum.wrapping_add(value.wrapping_mul(*weight));
        }
    }
    sums.into_iter().fold(0, i32::wrapping_add)
}

/// The `columns` of `pixels`, rows of `width`, resized by `taps`; these count rows from `origin`.
#[inline(always)]
fn down(
    pixels: &[u8],
    width: usize,
    columns: Range<usize>,
    taps: &[Tap],
    origin: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(3 * taps.len() * columns.len());
    let mut sums = vec![HALF; 3 * columns.len()];
    for tap in taps {
        sums.fill(HALF);
        for (row, weight) in
            pixels[3 * width * (tap.first - origin)..].chunks_exact(3 * width).zip(&tap.weights)
        {
            for (sum, &value) in sums.iter_mut().zip(&row[3 * columns.start..3 * columns.end]) {
                *sum = sum.wrapping_add(i32::from(value).wrapping_mul(*weight));
            }
        }
        out.extend(sums.iter().copied().map(pixel));
    }
    out // [taps, columns, 3]
}

/// The part `columns` x `rows` of `pixels` (`width` x `height`, RGB) resized to
/// `to_width` x `to_height`. Only that part is computed, so memory stays within it however far the
/// sides of the picture differ.
pub(crate) fn resize(
    pixels: &[u8],
    (width, height): (usize, usize),
    (to_width, to_height): (usize, usize),
    filter: Filter,
    columns: Range<usize>,
    rows: Range<usize>,
) -> Vec<u8> {
    let x = taps(width, to_width, filter, columns);
    let y = taps(height, to_height, filter, rows);
    // Each pass rounds to bytes, so their order shows. Pillow 13 begins with the height where that
    // shrinks by more than twice what the width shrinks by; before 13, always with the width.
    let height_first = height > to_height && height + 2 * to_width > to_height + 2 * width;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has these instructions.
        return unsafe { both_with_avx2(pixels, width, &x, &y, height_first) };
    }
    both(pixels, width, &x, &y, height_first)
}

/// [`both`], compiled for processors with AVX2: in a third of the time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn both_with_avx2(pixels: &[u8], width: usize, x: &[Tap], y: &[Tap], first: bool) -> Vec<u8> {
    both(pixels, width, x, y, first)
}

/// `pixels`, rows of `width`, resized by the taps `x` of a row and `y` of a column.
#[inline(always)]
fn both(pixels: &[u8], width: usize, x: &[Tap], y: &[Tap], height_first: bool) -> Vec<u8> {
    let (x_from, y_from) = (looked_at(x), looked_at(y));
    if height_first {
        let flat = down(pixels, width, x_from.clone(), y, 0); // [rows, columns looked at, 3]
        across(&flat, x_from.len(), 0..y.len(), x, x_from.start) // [rows, columns, 3]
    } else {
        let narrow = across(pixels, width, y_from.clone(), x, 0); // [rows looked at, columns, 3]
        down(&narrow, x.len(), 0..x.len(), y, y_from.start) // [rows, columns, 3]
    }
}
