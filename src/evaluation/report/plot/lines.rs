//! [`LineChart`]: numbers over a size on a logarithmic axis, such as the paper's figure 16.

use super::svg::{Axis, COLORS, Svg, color, legend};

/// A line for each series over a logarithmic axis, with error bars, and for each base a dashed line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineChart {
    /// What it shows.
    pub title: String,
    /// What the horizontal axis is.
    pub size_axis: String,
    /// What the numbers are, with their unit.
    pub axis: String,
    /// The lines.
    pub series: Vec<LineSeries>,
}

/// A line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LineSeries {
    /// The name in the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<Point>,
    /// What it is compared with, as a dashed line: its name and number.
    pub base: Option<(String, f64)>,
}

/// A number for a size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// The size, above 0; others are left out.
    pub size: f64,
    /// The number.
    pub value: f64,
    /// Its standard error; 0 shows none.
    pub error: f64,
}

const LEFT: f64 = 64.0;
const WIDTH: f64 = 640.0;
/// The height of the field of lines, in pixels.
const FIELD: f64 = 280.0;

impl LineChart {
    /// The chart as an SVG file, in colours for light and dark that people who see few colours tell
    /// apart, each line with marks of its own shape. Every number is in the words that a pointer or a
    /// screen reader finds.
    pub fn to_svg(&self) -> String {
        let right = WIDTH - 24.0;
        let names = self.series.iter().flat_map(|series| {
            [Some(series.name.clone()), series.base.as_ref().map(|(name, _)| name.clone())]
        });
        let (places, high) = legend(names.flatten(), LEFT, 46.0, right - LEFT);
        let top = 46.0 + high + 22.0;
        let bottom = top + FIELD;
        let mut svg = Svg::new(WIDTH, bottom + 58.0);
        svg.text([LEFT, 22.0], "class=\"title\"", right - LEFT, &self.title);
        svg.text([8.0, top - 12.0], "class=\"faint\"", WIDTH - 16.0, &self.axis);
        let middle = f64::midpoint(LEFT, right);
        let attributes = "class=\"faint\" text-anchor=\"middle\"";
        svg.text([middle, bottom + 46.0], attributes, WIDTH, &self.size_axis);
        let points = || self.series.iter().flat_map(drawable);
        let ends =
            points().flat_map(|point| [point.value - point.error, point.value + point.error]);
        let bases = self.series.iter().filter_map(|series| Some(series.base.as_ref()?.1));
        let axis = Axis::new(ends.chain(bases), [top, bottom]);
        svg.axis(&axis, LEFT, right);
        let x = places_of(points().map(|point| point.size), [LEFT + 24.0, right - 24.0]);
        let mut labelled = Vec::new();
        for point in points() {
            let at = x(point.size);
            if labelled.iter().all(|other: &f64| (other - at).abs() > 60.0) {
                let label = size_label(point.size);
                svg.text([at, bottom + 20.0], attributes, 90.0, &label);
                labelled.push(at);
            }
        }
        let mut places = places.into_iter();
        for (at, series) in self.series.iter().enumerate() {
            let class = color(at);
            if let Some(place) = places.next() {
                mark(&mut svg, at, [place[0] + 7.0, place[1] - 4.0], &series.name);
                svg.text([place[0] + 20.0, place[1] + 1.0], "", right - place[0], &series.name);
            }
            if let Some((name, value)) = &series.base {
                let y = axis.at(*value);
                svg.titled(
                    "line",
                    format_args!(
                        "class=\"base c{class}\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\""
                    ),
                    &format!("{name}: {}", short(*value)),
                );
                if let Some([left, y]) = places.next() {
                    let (end, y) = (left + 16.0, y - 4.0);
                    svg.element(format_args!(
                        "line class=\"base c{class}\" x1=\"{left:.1}\" x2=\"{end:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\""
                    ));
                    svg.text([left + 20.0, y + 5.0], "", right - left, name);
                }
            }
            let mut points = drawable(series);
            points.sort_by(|a, b| a.size.total_cmp(&b.size));
            let path: Vec<_> = points
                .iter()
                .map(|point| format!("{:.1},{:.1}", x(point.size), axis.at(point.value)))
                .collect();
            svg.element(format_args!(
                "polyline class=\"line c{class}\" points=\"{}\"",
                path.join(" ")
            ));
            for point in points {
                let ends = [point.value - point.error, point.value + point.error];
                svg.error(&axis, x(point.size), ends);
                let words = format!("{}, {}", series.name, in_words(&point));
                mark(&mut svg, at, [x(point.size), axis.at(point.value)], &words);
            }
        }
        svg.finish(&self.title, &self.description())
    }

    /// Every number in words.
    pub(in crate::evaluation::report) fn description(&self) -> String {
        let mut words = vec![format!("Lines: {}, over {}.", self.axis, self.size_axis)];
        for series in &self.series {
            let numbers: Vec<_> = drawable(series).iter().map(in_words).collect();
            let base = series.base.as_ref();
            let base =
                base.map_or(String::new(), |(name, value)| format!("; {name} {}", short(*value)));
            words.push(format!("{}: {}{base}.", series.name, numbers.join(", ")));
        }
        words.join(" ")
    }
}

/// The points that have a place on the axes.
fn drawable(series: &LineSeries) -> Vec<Point> {
    let has_place =
        |point: &&Point| point.size > 0.0 && point.size.is_finite() && point.value.is_finite();
    series.points.iter().filter(has_place).copied().collect()
}

/// Where a size stands between the ends `left` and `right`, by its logarithm.
fn places_of(sizes: impl Iterator<Item = f64>, [left, right]: [f64; 2]) -> impl Fn(f64) -> f64 {
    let range = sizes.map(f64::ln).fold(None, |range: Option<(f64, f64)>, size| {
        Some(range.map_or((size, size), |(low, high)| (low.min(size), high.max(size))))
    });
    let (low, high) = range.unwrap_or((0.0, 1.0));
    move |size| match high > low {
        true => left + (size.ln() - low) / (high - low) * (right - left),
        false => f64::midpoint(left, right),
    }
}

/// The mark of a series: circle, square, triangle or diamond.
fn mark(svg: &mut Svg, series: usize, [x, y]: [f64; 2], words: &str) {
    // Another shape for each colour's second line, and so on: 32 lines differ.
    let path = match (series + series / COLORS) % 4 {
        0 => format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", x - 5.0),
        1 => format!("M{:.1} {:.1}h9v9h-9z", x - 4.5, y - 4.5),
        2 => format!("M{x:.1} {:.1}l5.5 10h-11z", y - 6.0),
        _ => format!("M{x:.1} {:.1}l6 6l-6 6l-6 -6z", y - 6.0),
    };
    let class = color(series);
    svg.titled("path", format_args!("class=\"c{class}\" d=\"{path}\""), words);
}

fn in_words(point: &Point) -> String {
    let error =
        if point.error > 0.0 { format!(" ± {}", short(point.error)) } else { String::new() };
    format!("{} images: {}{error}", size_label(point.size), short(point.value))
}

fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// A size with commas between thousands, as the paper has them.
fn size_label(size: f64) -> String {
    let digits = format!("{size:.0}");
    let mut label = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            label.push(',');
        }
        label.push(digit);
    }
    label
}
