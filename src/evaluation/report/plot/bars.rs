//! [`BarChart`]: groups of bars with their intervals.

use super::svg::{Axis, COLORS, Svg, color, legend, length};

/// A bar chart in which every group has a bar of every series, such as systems on data sets, or the
/// prompt types of vision-language models.
///
/// ```
/// use imagerag::evaluation::report::{Bar, BarChart, BarSeries};
///
/// let bar = |value, low, high| Some(Bar { value, low, high });
/// let chart = BarChart {
///     title: "Robustness of vision-language models".into(),
///     axis: "correct answers, %".into(),
///     groups: vec!["a CLASS".into(), "a CLASS and a OTHER".into()],
///     series: vec![BarSeries {
///         name: "gpt-4o".into(),
///         bars: vec![bar(100.0, 83.9, 100.0), bar(99.7, 98.5, 100.0)],
///     }],
/// };
/// assert!(chart.to_svg().contains("gpt-4o, a CLASS and a OTHER: 99.7 (98.5 to 100)"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarChart {
    /// What it shows.
    pub title: String,
    /// What the numbers are, with their unit.
    pub axis: String,
    /// The names of the groups, from left to right.
    pub groups: Vec<String>,
    /// The series, in the order of their bars within each group.
    pub series: Vec<BarSeries>,
}

/// Bars of one colour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarSeries {
    /// The name in the legend.
    pub name: String,
    /// One for each group; none where there is no number.
    pub bars: Vec<Option<Bar>>,
}

/// A number with its interval, such as its standard error on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bar {
    /// The number.
    pub value: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end of its interval.
    pub high: f64,
}

const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
/// The height of the bars' field, in pixels.
const FIELD: f64 = 260.0;
/// The most width of the legend, in pixels: a wide chart is scrolled.
const LEGEND: f64 = 1_000.0;
/// The width of a bar, in pixels.
const BAR: f64 = 22.0;
/// Between groups, in pixels.
const GAP: f64 = 28.0;

impl BarChart {
    /// The chart as an SVG file, in colours for light and dark that people who see few colours tell
    /// apart; where there are more series than these 8 colours, each bar has the number that its series
    /// has in the legend. The bars begin at 0. Every number is in the words that a pointer or a screen reader finds.
    pub fn to_svg(&self) -> String {
        let count = self.groups.len().max(1) as f64;
        let longest = self.groups.iter().map(|name| length(name)).fold(0.0, f64::max);
        let bars = self.series.len().max(1) as f64 * BAR;
        let group = bars.max(longest.min(180.0)) + GAP;
        let width = (LEFT + count * group + RIGHT).max(560.0);
        let group = (width - LEFT - RIGHT) / count;
        let are_numbered = self.series.len() > COLORS;
        let name = |(at, series): (usize, &BarSeries)| match are_numbered {
            true => format!("{} {}", at + 1, series.name),
            false => series.name.clone(),
        };
        let names: Vec<_> = self.series.iter().enumerate().map(name).collect();
        let room = (width - LEFT - RIGHT).min(LEGEND);
        let (places, high) = legend(names.iter(), LEFT, 46.0, room);
        let top = 46.0 + high + 22.0;
        let bottom = top + FIELD;
        let below = if are_numbered { 16.0 } else { 0.0 };
        let mut svg = Svg::new(width, bottom + below + 40.0);
        svg.text([LEFT, 22.0], "class=\"title\"", width - LEFT - RIGHT, &self.title);
        for ((at, name), [x, y]) in names.iter().enumerate().zip(places) {
            let color = color(at);
            svg.element(format_args!(
                "rect class=\"c{color}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"14\" rx=\"2\"",
                y - 11.0
            ));
            svg.text([x + 20.0, y + 1.0], "", width - x - 24.0, name);
        }
        svg.text([8.0, top - 12.0], "class=\"faint\"", width - 16.0, &self.axis);
        let all = self.series.iter().flat_map(|series| series.bars.iter().flatten());
        let axis =
            Axis::new(all.flat_map(|bar| [bar.value, bar.low, bar.high, 0.0]), [top, bottom]);
        svg.axis(&axis, LEFT, width - RIGHT);
        for (at, name) in self.groups.iter().enumerate() {
            let left = LEFT + at as f64 * group;
            let middle = left + group / 2.0;
            let attributes = "text-anchor=\"middle\"";
            svg.text([middle, bottom + below + 22.0], attributes, group - 8.0, name);
            for (number, series) in self.series.iter().enumerate() {
                let x = middle - bars / 2.0 + number as f64 * BAR;
                if are_numbered {
                    let attributes = "class=\"faint number\" text-anchor=\"middle\"";
                    let place = [x + (BAR - 3.0) / 2.0, bottom + 14.0];
                    svg.text(place, attributes, BAR, &(number + 1).to_string());
                }
                let words = format!("{}, {name}", series.name);
                match series.bars.get(at).copied().flatten().filter(|bar| bar.value.is_finite()) {
                    Some(bar) => draw(&mut svg, &axis, [x, number as f64], bar, &words),
                    None => {
                        let attributes = "class=\"faint\" text-anchor=\"middle\"";
                        svg.text([x + BAR / 2.0, axis.at(0.0) - 4.0], attributes, BAR, "–");
                    }
                }
            }
        }
        let zero = axis.at(0.0);
        let right = width - RIGHT;
        svg.element(format_args!(
            "line class=\"axis\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{zero:.1}\" y2=\"{zero:.1}\""
        ));
        svg.finish(&self.title, &self.description())
    }

    /// Every number in words.
    pub(in crate::evaluation::report) fn description(&self) -> String {
        let mut words = vec![format!("Bars: {}.", self.axis)];
        for series in &self.series {
            let numbers = self.groups.iter().zip(&series.bars).map(|(group, bar)| match bar {
                Some(bar) => format!("{group} {}", interval(bar)),
                None => format!("{group} none"),
            });
            words.push(format!("{}: {}.", series.name, numbers.collect::<Vec<_>>().join(", ")));
        }
        words.join(" ")
    }
}

fn draw(svg: &mut Svg, axis: &Axis, [x, series]: [f64; 2], bar: Bar, words: &str) {
    let (zero, end) = (axis.at(0.0), axis.at(bar.value));
    let (y, height) = (zero.min(end), (zero - end).abs().max(0.5));
    let color = color(series as usize);
    let width = BAR - 3.0;
    svg.titled(
        "rect",
        format_args!(
            "class=\"c{color}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\""
        ),
        &format!("{words}: {}", interval(&bar)),
    );
    svg.error(axis, x + width / 2.0, [bar.low, bar.high]);
}

/// The number with its interval, in at most four decimals.
fn interval(bar: &Bar) -> String {
    let short = |value: f64| (value * 1e4).round() / 1e4;
    match bar.low < bar.high {
        true => format!("{} ({} to {})", short(bar.value), short(bar.low), short(bar.high)),
        false => short(bar.value).to_string(),
    }
}
