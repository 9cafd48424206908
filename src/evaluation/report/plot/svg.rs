//! Shapes and texts to an SVG file that is readable in light and dark.

use std::fmt::{self, Display, Write};

use crate::page::escaped;

/// A generous width of a letter of 13 pixels.
const LETTER: f64 = 7.2;
/// How many colours there are.
pub(super) const COLORS: usize = 8;

/// Colours that people who see few colours tell apart (Okabe and Ito, "Color Universal Design", 2008);
/// their black is grey, so that it is seen on dark paper.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#1b1f27}\
.title{font-weight:600;font-size:15px}.number{font-size:11px}.faint{fill:#545c6b}\
.grid{stroke:#d5d9e0}.axis,.error{stroke:#1b1f27}.error{stroke-width:1.5}\
.line{fill:none;stroke-width:2}.base{stroke-dasharray:6 4;stroke-width:2}\
.c0{fill:#0072b2;stroke:#0072b2}.c1{fill:#e69f00;stroke:#e69f00}.c2{fill:#009e73;stroke:#009e73}\
.c3{fill:#cc79a7;stroke:#cc79a7}.c4{fill:#56b4e9;stroke:#56b4e9}.c5{fill:#d55e00;stroke:#d55e00}\
.c6{fill:#f0e442;stroke:#f0e442}.c7{fill:#7f7f7f;stroke:#7f7f7f}\
.line,.base{fill:none}\
@media(prefers-color-scheme:dark){text{fill:#e8eaee}.faint{fill:#a8b0bd}.grid{stroke:#3a404b}\
.axis,.error{stroke:#e8eaee}}";

/// A file in the making.
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// An element of its name and attributes; every text in it is escaped by [`text`](Self::text).
    pub(super) fn element(&mut self, element: fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "<{element}/>");
    }

    /// The same with words that are shown where a pointer rests on it.
    pub(super) fn titled(&mut self, name: &str, attributes: fmt::Arguments<'_>, title: &str) {
        let title = escaped(title);
        let _ = writeln!(self.body, "<{name} {attributes}><title>{title}</title></{name}>");
    }

    /// A text, of which at most `room` pixels are shown; the whole of one that is longer is its title.
    pub(super) fn text(&mut self, [x, y]: [f64; 2], attributes: &str, room: f64, text: &str) {
        let short = shortened(text, room);
        let whole =
            if short == text { String::new() } else { format!("<title>{}</title>", escaped(text)) };
        let short = escaped(&short);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{short}{whole}</text>"
        );
    }

    /// A horizontal line at each number of the axis, with the number.
    pub(super) fn axis(&mut self, axis: &Axis, left: f64, right: f64) {
        for tick in axis.ticks() {
            let y = axis.at(tick);
            self.element(format_args!(
                "line class=\"grid\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\""
            ));
            let label = axis.label(tick);
            self.text([left - 8.0, y + 4.0], "class=\"faint\" text-anchor=\"end\"", left, &label);
        }
    }

    /// An error bar from `low` to `high`, where they differ.
    pub(super) fn error(&mut self, axis: &Axis, x: f64, [low, high]: [f64; 2]) {
        if !(low.is_finite() && high.is_finite() && high > low) {
            return;
        }
        let (top, bottom) = (axis.at(high), axis.at(low));
        let (left, right) = (x - 4.0, x + 4.0);
        self.element(format_args!(
            "path class=\"error\" fill=\"none\" d=\"M{left:.1} {top:.1}H{right:.1}M{x:.1} {top:.1}\
             V{bottom:.1}M{left:.1} {bottom:.1}H{right:.1}\""
        ));
    }

    /// The file. It says what it shows in words, for those who do not see it.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        let Self { width, height, body } = self;
        let (title, description) = (escaped(title), escaped(description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"title description\" \
             width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\">\n\
             <title id=\"title\">{title}</title>\n<desc id=\"description\">{description}</desc>\n\
             <style>{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

/// The class of a series' colour.
pub(super) const fn color(series: usize) -> usize {
    series % COLORS
}

/// Where the names of series stand: rows of `[x, y]` within `width`, and how high they are together.
pub(super) fn legend<T: Display>(
    names: impl Iterator<Item = T>,
    left: f64,
    top: f64,
    width: f64,
) -> (Vec<[f64; 2]>, f64) {
    let (mut places, mut x, mut y) = (Vec::new(), left, top);
    for name in names {
        let needed = 24.0 + (length(&name.to_string())).min(width - 24.0) + 16.0;
        if x > left && x + needed > left + width {
            (x, y) = (left, y + 20.0);
        }
        places.push([x, y]);
        x += needed;
    }
    (places, y - top + 20.0)
}

/// About how many pixels a text takes.
pub(super) fn length(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

fn shortened(text: &str, room: f64) -> String {
    let most = ((room / LETTER) as usize).max(3);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// Numbers to heights.
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
    top: f64,
    bottom: f64,
}

impl Axis {
    /// An axis that shows all of `values` in round steps, between the heights `top` and `bottom`.
    pub(super) fn new(values: impl Iterator<Item = f64>, [top, bottom]: [f64; 2]) -> Self {
        // Larger ones are no scores; their difference could overflow.
        let values = values.filter(|value| value.abs() < 1e300);
        let range = values.fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        let (low, high) = range.unwrap_or((0.0, 1.0));
        let (low, high) = match high - low {
            span if span > low.abs().max(high.abs()) * 1e-9 => (low, high),
            _ => (low - low.abs() * 0.1, if high == 0.0 { 1.0 } else { high + high.abs() * 0.1 }),
        };
        let rough = (high - low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|step| step * power >= rough);
        let step = round.unwrap_or(10.0) * power;
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high, step, top, bottom }
    }

    /// The height of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        self.bottom - share * (self.bottom - self.top)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count.min(20)).map(|n| self.low + n as f64 * self.step).collect()
    }

    fn label(&self, tick: f64) -> String {
        // As many decimals as the step has.
        let decimals = (0..12).find(|decimals| {
            let scaled = self.step * 10_f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
        });
        super::super::table::number(tick, decimals.unwrap_or(12) as usize)
    }
}
